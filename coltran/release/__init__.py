"""The public release's checkpoints: names, configs, variables."""
