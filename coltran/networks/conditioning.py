"""In conditional layers, an image's context changes attention, MLP and layer norm (paper, table 1).

Every conditional layer works in two steps, project and apply, because the sampler projects a context once per row or
image but applies it at every pixel.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from coltran.networks.initializers import Initializer
from coltran.networks.layers import Dense, normalize, precise


def modulate(z: jax.Array, modulation: jax.Array, kind: str, *, shift_first: bool) -> jax.Array:
    """Changes z [..., K] by a modulation [..., K or 2K] (paper, table 1, right column).

    `kind` is one of coltran.networks.config.MODULATIONS except `none`. With two halves, `shift_first` says which comes
    first. The release writes [scale, shift] for attention and layer norm, but [shift, scale] for the MLP.
    """
    if kind == "shift":
        return z + modulation
    if kind == "scale":
        return z * modulation
    first, second = jnp.split(modulation, 2, axis=-1)
    scale, shift = (second, first) if shift_first else (first, second)
    if kind == "gated":
        return (z + shift) * jax.nn.sigmoid(scale)
    return z * scale + shift


def modulation_size(kind: str, size: int) -> int:
    """Returns how many features modulate `size` features: `size`, or twice as many for kinds with two halves."""
    return size if kind in ("shift", "scale") else 2 * size


class HeadModulation(nnx.Module):
    """cAtt's projection for one of query, key and value: context [..., C] -> [..., N, K or 2K]. It has no bias."""

    def __init__(self, context_size: int, num_heads: int, head_size: int, kind: str, *, init: Initializer):
        self.kind = kind
        shape = (context_size, num_heads, modulation_size(kind, head_size))
        self.kernel = nnx.Param(init.glorot(shape, fan_in=context_size, fan_out=shape[1] * shape[2]))

    def project(self, context: jax.Array) -> jax.Array:
        """Projects a context [..., C] to its modulation [..., N, K or 2K]."""
        return jnp.einsum("...c,cnm->...nm", context, self.kernel[...].astype(context.dtype))

    def apply(self, z: jax.Array, modulation: jax.Array) -> jax.Array:
        """Changes the heads z [..., N, K] by a modulation that `project` returned."""
        return modulate(z, modulation, self.kind, shift_first=False)


class ConditionalLayerNorm(nnx.Module):
    """cLN normalizes with a scale and an offset that come from the pooled context of the whole image."""

    def __init__(self, height: int, width: int, size: int, *, learned_pooling: bool, init: Initializer):
        ones = jnp.ones((height, width), jnp.float32)
        self.pooling = nnx.Param(ones) if learned_pooling else None
        self.dense = Dense(size, 2 * size, init=init)

    def project(self, context_BHWD: jax.Array) -> jax.Array:
        """Projects the context [B,H,W,D] to [scale, shift] of each image, float32 [B,1,1,2D]."""
        weighted = precise(context_BHWD)
        if self.pooling is not None:
            weighted = self.pooling[...][None, :, :, None] * weighted
        return self.dense(weighted.mean(axis=(1, 2), keepdims=True))

    def project_row(self, context_B1WD: jax.Array) -> jax.Array:
        """Projects to [B,1,1,2D] as the release does when it samples. It spreads one row over all rows' weights."""
        weighted = precise(context_B1WD)
        if self.pooling is not None:
            weighted = self.pooling[...].mean(axis=0)[None, None, :, None] * weighted
        return self.dense(weighted.mean(axis=(1, 2), keepdims=True))

    def __call__(self, x: jax.Array, modulation: jax.Array) -> jax.Array:
        return modulate(normalize(x), modulation, "affine", shift_first=False).astype(x.dtype)
