"""Trains one network: options, data, steps, devices, logs, and checkpoints to write and to resume from."""
