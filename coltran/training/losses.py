"""Computes losses in bits (paper, equation 13)."""

import math

import jax
import jax.numpy as jnp

from coltran.networks.layers import precise


def bits(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Computes -log2 p(label), logits float32 [..., V] and labels int32 [...] in 0..V-1 -> float32 [...]."""
    logits = precise(logits)
    # We use a masked sum and not a gather, because its gradient is elementwise and fuses with the softmax's gradient.
    symbols = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
    is_label = jnp.asarray(labels, jnp.int32)[..., None] == symbols
    chosen = jnp.where(is_label, logits, 0.0).sum(axis=-1)
    return (jax.nn.logsumexp(logits, axis=-1) - chosen) / math.log(2)


def colorizer_loss(decoder_bits: jax.Array, parallel_bits: jax.Array, parallel_weight: float) -> jax.Array:
    """Computes the scalar (1 - lambda) * autoregressive + lambda * parallel (equation 13)."""
    return (1 - parallel_weight) * decoder_bits + parallel_weight * parallel_bits
