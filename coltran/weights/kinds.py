"""Which weights of a checkpoint are used: their moving average, or the raw ones. Imports no JAX, for `--help`."""

WEIGHTS = ("ema", "raw")
