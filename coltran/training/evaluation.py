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
from coltran.weights.checkpoint import Checkpoint


def make_evaluator(
    config: NetworkConfig, placement: Placement
) -> Callable[[Mapping[str, Any], inputs.Batch], dict[str, jax.Array]]:
    """Makes a compiled function (parameters, batch) -> {metric: mean bits of each example, float32 [B]}.

    Parameters and batch lie on the devices of `placement`, and every process gets the whole result.
    """

    def colorizer(network: Any, batch: Metrics) -> Metrics:
        decoder, parallel = colorizer_bits(network, batch)
        return {
            "decoder_bits_per_pixel": decoder.mean(axis=(1, 2)),
            "parallel_bits_per_pixel": parallel.mean(axis=(1, 2)),
        }

    def upsampler(network: Any, batch: Metrics) -> Metrics:
        count = batch["gray"].shape[0]

        def channel(index: jax.Array) -> jax.Array:
            return channel_bits(network, batch, jnp.full(count, index)).mean(axis=(1, 2))

        return {"bits_per_dim": jax.lax.map(channel, jnp.arange(NUM_CHANNELS)).mean(axis=0)}

    function = colorizer if parameters.is_colorizer(config) else upsampler

    def evaluate(flat: Mapping[str, Any], batch: Metrics) -> Metrics:
        network = parameters.restore(config, placement.whole(flat))
        count = batch["gray"].shape[0]
        parts = placement.split_parts(batch, placement.best_parts(count, config.height * config.width))
        found = jax.lax.map(lambda part: function(network, part), parts)
        return {name: bits_PB.swapaxes(0, 1).reshape(count) for name, bits_PB in found.items()}

    return jax.jit(evaluate, out_shardings=placement.replicated)


def bits_of_examples(
    evaluator: Callable,
    weights: Mapping[str, Mapping[str, Any]],
    examples: inputs.Examples,
    batch_size: int,
    placement: Placement,
    chosen: np.ndarray | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Measures the bits of each example under several sets of weights, which one program reads batch by batch.

    Each process reads its rows of every batch, and all must call this together.

    Args:
      evaluator: what `make_evaluator` returned.
      weights: {name: parameters}, such as the moving average and the raw weights.
      examples: the record folder.
      batch_size: examples at once, a multiple of the number of devices.
      placement: where the parameters lie.
      chosen: which examples to measure, int64 [examples]; None for all, in their order.

    Returns:
      {name: {metric: float64 [examples]}}: bits per pixel of both heads, or bits per dim over three channels.
    """
    rows = placement.rows(batch_size)
    chosen = np.arange(len(examples)) if chosen is None else chosen
    found: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in weights}
    for batch, count in inputs.evaluation_batches(examples, chosen, batch_size, rows):
        placed = placement.put_batch(batch, batch_size)
        computing = {name: evaluator(flat, placed) for name, flat in weights.items()}
        for name, bits in computing.items():
            for metric, bits_B in bits.items():
                found[name].setdefault(metric, []).append(np.asarray(bits_B, np.float64)[:count])
    return {
        name: {metric: np.concatenate(parts) for metric, parts in metrics.items()} for name, metrics in found.items()
    }


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
