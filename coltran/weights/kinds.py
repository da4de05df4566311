"""Names the two kinds of weights in a checkpoint: moving average and raw. For `--help`, it does not import JAX."""

WEIGHTS = ("ema", "raw")
