"""Reads and writes the public release's checkpoints: names, configs, variables."""
