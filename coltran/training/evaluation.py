"""Measures the likelihood of a whole record folder in bits. Every example counts exactly once (paper, section 5.2)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coltran.networks.config import NetworkConfig
from coltran.networks.upsampler import NUM_CHANNELS
from coltran.training import inputs
from coltran.training.mesh import Placement
from coltran.training.step import Metrics, channel_bits, colorizer_bits
from coltran.weights import parameters


def make_evaluator(
    config: NetworkConfig, placement: Placement | None = None
) -> Callable[[Mapping[str, Any], inputs.Batch], dict[str, jax.Array]]:
    """Makes a compiled function (parameters, batch) -> {metric: mean bits of each example, float32 [B]}.

    With `placement`, parameters and batch lie on its devices, and every process gets the whole result.
    """

    def restore(flat: Mapping[str, Any]) -> Any:
        return parameters.restore(config, flat if placement is None else placement.whole(flat))

    def colorizer(flat: Mapping[str, Any], batch: Metrics) -> Metrics:
        decoder, parallel = colorizer_bits(restore(flat), batch)
        return {
            "decoder_bits_per_pixel": decoder.mean(axis=(1, 2)),
            "parallel_bits_per_pixel": parallel.mean(axis=(1, 2)),
        }

    def upsampler(flat: Mapping[str, Any], batch: Metrics) -> Metrics:
        network, count = restore(flat), batch["gray"].shape[0]

        def channel(index: jax.Array) -> jax.Array:
            return channel_bits(network, batch, jnp.full(count, index)).mean(axis=(1, 2))

        return {"bits_per_dim": jax.lax.map(channel, jnp.arange(NUM_CHANNELS)).mean(axis=0)}

    function = colorizer if parameters.is_colorizer(config) else upsampler
    return jax.jit(function, out_shardings=None if placement is None else placement.replicated)


def evaluate(
    evaluator: Callable,
    flat: Mapping[str, Any],
    examples: inputs.Examples,
    batch_size: int,
    placement: Placement | None = None,
) -> dict[str, float]:
    """Measures {metric: mean over all examples}, bits per pixel of both heads, or bits per dim over three channels.

    With `placement`, each process reads its rows of every batch, and all must call this together.
    """
    totals: dict[str, float] = {}
    rows = None if placement is None else placement.rows(batch_size)
    for batch, mask in inputs.evaluation_batches(examples, batch_size, rows):
        placed = batch if placement is None else placement.put_batch(batch, batch_size)
        for name, bits_B in evaluator(flat, placed).items():
            totals[name] = totals.get(name, 0.0) + float((np.asarray(bits_B, np.float64) * mask).sum())
    return {name: total / len(examples) for name, total in totals.items()}
