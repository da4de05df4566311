"""Measures the likelihood of a whole record folder in bits. Every example counts exactly once (paper, section 5.2)."""

from collections.abc import Callable, Iterator, Mapping
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
from coltran.weights.checkpoint import Checkpoint


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
    for found in bits_of_batches(evaluator, flat, examples, batch_size, placement):
        for name, bits_B in found.items():
            totals[name] = totals.get(name, 0.0) + float(bits_B.sum())
    return {name: total / len(examples) for name, total in totals.items()}


def bits_of_batches(
    evaluator: Callable,
    flat: Mapping[str, Any],
    examples: inputs.Examples,
    batch_size: int,
    placement: Placement | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields {metric: bits of each example, float64 [B]} of one batch after another, in the order of the examples.

    The last batch may be smaller. The arguments are those of `evaluate`.
    """
    rows = None if placement is None else placement.rows(batch_size)
    for batch, mask in inputs.evaluation_batches(examples, batch_size, rows):
        placed = batch if placement is None else placement.put_batch(batch, batch_size)
        real = mask > 0  # and not the padding of the last batch
        yield {name: np.asarray(bits_B, np.float64)[real] for name, bits_B in evaluator(flat, placed).items()}


def described(
    loaded: Checkpoint, weights: str, compute_dtype: str, examples: inputs.Examples, bits: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Makes the content of the file of `--evaluate --json`: what was measured, the means, and the bits of each image.

    Args:
      loaded: the checkpoint.
      weights: `ema` or `raw`.
      compute_dtype: of the activations.
      examples: the record folder.
      bits: {metric: float64 [examples]}.
    """
    columns = {name: values.tolist() for name, values in bits.items()}
    return {
        "stage": loaded.stage,
        "step": loaded.step,
        "checkpoint": loaded.path,
        "weights": weights,
        "weights_sha256": loaded.checksum(weights),
        "compute_dtype": compute_dtype,
        "data": examples.path,
        "data_fingerprint": examples.fingerprint,
        "examples": len(examples),
        "mean": {name: float(values.mean()) for name, values in bits.items()},
        "images": [
            {**examples.name(index), **{name: column[index] for name, column in columns.items()}}
            for index in range(len(examples))
        ],
    }
