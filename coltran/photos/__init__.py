"""Turns photos of any size into the networks' gray squares, and puts the networks' colors back onto the photos."""
