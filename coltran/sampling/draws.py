"""Chooses symbols from logits. A pixel's random numbers belong to its key, not to the moment of the draw.

So they are made for many pixels at a time, which on a CPU is several times faster than pixel by pixel.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from coltran.sampling.choices import SamplerOptions


class Choice(struct.PyTreeNode):
    """The choices at one pixel of every image [B], at some or all pixels [B,...], or stacked by a scan [H,W,B].

    Attributes:
      symbol: int32 coarse colors.
      log_probability: the model's log probability of each symbol (temperature 1, all symbols).
      max_probability: the model's largest probability, at most 1.
      logits: [..., V], or None without SamplerOptions.keep_logits.
    """

    symbol: jax.Array
    log_probability: jax.Array
    max_probability: jax.Array
    logits: jax.Array | None


def gumbel_noise(keys: jax.Array, like: jax.Array, options: SamplerOptions) -> jax.Array | None:
    """Makes the random numbers that decide pixels, those of `jax.random.categorical`.

    Args:
      keys: uint32 [..., 2], a key for each pixel.
      like: logits [..., V]; the noise has their dtype.
      options: the sampler's options.
    Returns:
      [..., V], or [..., K] where only the K most likely symbols are drawn from. It is None for modes that do not draw.
    """
    if options.mode != "sample":
        return None

    def noise_of(key: jax.Array) -> jax.Array:
        return jax.random.gumbel(key, (options.top_k or like.shape[-1],), like.dtype)

    for _ in range(keys.ndim - 1):
        noise_of = jax.vmap(noise_of)
    return noise_of(keys)


def draw(logits: jax.Array, noise: jax.Array | None, options: SamplerOptions) -> jax.Array:
    """Chooses one symbol for each row of logits [..., V], with `gumbel_noise` for them or without noise.

    Adding Gumbel noise and taking the largest sum draws from the softmax of the logits.

    Returns:
      int32 [...].
    """
    if noise is None:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    scaled, allowed = logits / options.temperature, None
    if options.top_k is not None:
        scaled, allowed = jax.lax.top_k(scaled, options.top_k)
    symbol = jnp.argmax(noise + scaled, axis=-1)
    if allowed is not None:
        symbol = jnp.take_along_axis(allowed, symbol[..., None], axis=-1)[..., 0]
    return symbol.astype(jnp.int32)


def describe(symbol: jax.Array, logits: jax.Array, options: SamplerOptions) -> Choice:
    """Says how probable the model finds symbols, int32 [...], given the logits that chose them, [..., V]."""
    log_p = jax.nn.log_softmax(logits, axis=-1)
    return Choice(
        symbol=symbol,
        log_probability=jnp.take_along_axis(log_p, symbol[..., None], axis=-1)[..., 0],
        max_probability=jnp.minimum(jnp.exp(log_p.max(axis=-1)), 1.0),
        logits=logits if options.keep_logits else None,
    )
