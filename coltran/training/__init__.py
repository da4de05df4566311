"""Training one network: options, data, steps, devices, logs, checkpoints written and resumed."""
