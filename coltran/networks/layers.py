"""Dense layers, layer norm and position embeddings are the small parts of all three networks.

Shape suffixes have these meanings here and in every network file:

    B  images of a batch          D  hidden size (features)     V  symbols or levels that are predicted
    H  rows of an image           F  hidden size of an MLP      C  features of a context
    W  columns of an image        N  attention heads            M  features of a modulation (D, 2D, K or 2K)
    L  length of attended axis    K  features of one head       O  the axis that attention leaves alone

Parameters are float32. Activations have the config's compute_dtype, float32 or bfloat16. A layer computes in the dtype
of its input, but the statistics of a layer norm and the softmax of attention are always float32 (`precise`). With the
compute_dtype float64, parameters and all of these are float64, for exact comparisons of programs.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from coltran.networks.initializers import Initializer

_CACHED_VALUES = 1 << 19  # values of an array that stays in a processor's cache

LAYER_NORM_EPSILON = 1e-3  # the default of Keras and the release


class Dense(nnx.Module):
    """A dense layer, x [..., in] -> [..., out], in the dtype of x."""

    def __init__(self, in_size: int, out_size: int, *, init: Initializer, use_bias: bool = True):
        self.kernel = nnx.Param(init.glorot((in_size, out_size), fan_in=in_size, fan_out=out_size))
        self.bias = nnx.Param(jnp.zeros((out_size,), jnp.float32)) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = jnp.dot(x, self.kernel[...].astype(x.dtype))
        return y if self.bias is None else y + _align(self.bias[...], y).astype(x.dtype)

    def embed(self, index: jax.Array) -> jax.Array:
        """Applies the layer to one-hot vectors without making them, index int32 [...] -> float32 [..., out].

        Indices must lie in 0..in-1.
        """
        y = look_up(self.kernel[...], index)
        return y if self.bias is None else y + _align(self.bias[...], y)


class LayerNorm(nnx.Module):
    """Normalization over the last axis with learned scale and offset, x [..., D] -> [..., D]."""

    def __init__(self, size: int):
        self.scale = nnx.Param(jnp.ones((size,), jnp.float32))
        self.offset = nnx.Param(jnp.zeros((size,), jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        y = normalize(x)
        return (y * _align(self.scale[...], y) + _align(self.offset[...], y)).astype(x.dtype)


class PositionEmbedding(nnx.Module):
    """One learned vector per row and one per column, which are added to [B,H,W,D]."""

    def __init__(self, height: int, width: int, size: int, *, init: Initializer):
        self.rows = nnx.Param(init.normal((height, 1, size), stddev=0.02))
        self.columns = nnx.Param(init.normal((width, size), stddev=0.02))

    def __call__(self) -> jax.Array:
        """Returns the embeddings of the whole image, float32 [1,H,W,D]."""
        return (self.rows[...] + self.columns[...][None])[None]


def precise(x: jax.Array) -> jax.Array:
    """Converts `x` [...] to float32, but keeps float64. Statistics, logits and losses never have fewer bits."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def look_up(table: jax.Array, index: jax.Array) -> jax.Array:
    """Looks up rows of a table [in, out], index int32 [...] -> [..., out]. Indices must lie in 0..in-1."""
    return jnp.take(table, index, axis=0, mode="clip")


def map_slices(function: Callable[..., jax.Array], *arrays: jax.Array, axis: int) -> jax.Array:
    """Applies a `function` that leaves `axis` (1 or 2) alone to large images. A CPU works in slices along that axis.

    A slice of 2 MB stays in the processor's cache at every step of `function`. Without slices, the activations of
    256x256 pixels go through memory.

    Args:
      function: takes the arrays or slices of all of them, [B,h,w,...] -> [B,h,w,...]; `axis` must be independent.
      arrays: arrays [B,H,W,...]; the other axis may be 1 pixel long in some of them.
    """
    largest = max((*arrays, jax.eval_shape(function, *arrays)), key=lambda array: array.size)
    slices = math.gcd(largest.shape[axis], max(1, math.prod(largest.shape[1:]) // _CACHED_VALUES))
    if slices <= 1 or jax.default_backend() != "cpu":
        return function(*arrays)

    def split(x: jax.Array) -> jax.Array:
        return jnp.moveaxis(x.reshape(*x.shape[:axis], slices, -1, *x.shape[axis + 1 :]), axis, 0)

    made = jnp.moveaxis(jax.lax.map(lambda parts: function(*parts), [split(x) for x in arrays]), 0, axis)
    return made.reshape(*made.shape[:axis], -1, *made.shape[axis + 2 :])


def normalize(x: jax.Array) -> jax.Array:
    """Normalizes x [..., D] to mean 0 and variance 1 over the last axis, at least in float32 (epsilon 1e-3)."""
    x = precise(x)
    centered = x - x.mean(axis=-1, keepdims=True)
    variance = jnp.square(centered).mean(axis=-1, keepdims=True)
    return centered * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON)


def _align(vector: jax.Array, like: jax.Array) -> jax.Array:
    """Reshapes `vector` [D] to [1, ..., 1, D] with the rank of `like`, so that no rank is promoted silently."""
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)
