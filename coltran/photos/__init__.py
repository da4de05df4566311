"""Photos of any size: to the networks' gray squares, and their colors back onto them."""
