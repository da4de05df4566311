"""Likelihood of a whole record folder in bits: every example exactly once (paper, section 5.2)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coltran import inputs, parameters
from coltran.config import NetworkConfig
from coltran.train_step import channel_bits, colorizer_bits
from coltran.upsamplers import NUM_CHANNELS


def make_evaluator(config: NetworkConfig) -> Callable[[Mapping[str, Any], inputs.Batch], dict[str, jax.Array]]:
    """Compiled (parameters, batch) -> {metric: mean bits of each example, float32 [B]}."""

    def colorizer(flat, batch):
        decoder, parallel = colorizer_bits(parameters.restore(config, flat), batch)
        return {
            "decoder_bits_per_pixel": decoder.mean(axis=(1, 2)),
            "parallel_bits_per_pixel": parallel.mean(axis=(1, 2)),
        }

    def upsampler(flat, batch):
        network, count = parameters.restore(config, flat), batch["gray"].shape[0]

        def channel(index):
            return channel_bits(network, batch, jnp.full(count, index)).mean(axis=(1, 2))

        return {"bits_per_dim": jax.lax.map(channel, jnp.arange(NUM_CHANNELS)).mean(axis=0)}

    return jax.jit(colorizer if parameters.is_colorizer(config) else upsampler)


def evaluate(
    evaluator: Callable, flat: Mapping[str, Any], examples: inputs.Examples, batch_size: int
) -> dict[str, float]:
    """{metric: mean over all examples}: bits per pixel of both heads, or bits per dim over all three channels."""
    totals: dict[str, float] = {}
    for batch, mask in inputs.evaluation_batches(examples, batch_size):
        for name, bits_B in evaluator(flat, batch).items():
            totals[name] = totals.get(name, 0.0) + float((np.asarray(bits_B, np.float64) * mask).sum())
    return {name: total / len(examples) for name, total in totals.items()}
