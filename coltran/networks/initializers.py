"""NumPy draws the first values of parameters. They are the same on every machine, and nothing needs compiling."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


class Initializer:
    """Draws parameters one after the other from a seed. With `seed=None` all are zeros, if only shapes are needed."""

    def __init__(self, seed: int | None):
        self._generator = None if seed is None else np.random.default_rng(seed)

    def glorot(self, shape: Sequence[int], *, fan_in: int, fan_out: int) -> jax.Array:
        """Draws a float32 array, uniform within +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
        limit = math.sqrt(6 / (fan_in + fan_out))
        if self._generator is None:
            return jnp.zeros(shape, jnp.float32)
        return jnp.asarray(self._generator.uniform(-limit, limit, shape).astype(np.float32))

    def normal(self, shape: Sequence[int], *, stddev: float) -> jax.Array:
        """Draws a float32 array, Gaussian around 0."""
        if self._generator is None:
            return jnp.zeros(shape, jnp.float32)
        return jnp.asarray(self._generator.normal(0.0, stddev, shape).astype(np.float32))
