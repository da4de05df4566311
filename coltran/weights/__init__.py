"""Handles weights by name, and the checkpoints that hold them."""
