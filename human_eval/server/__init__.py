"""A study server of our own."""
