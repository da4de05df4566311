"""Slices, in which a CPU takes large images, change no result. The numbers themselves: test_release_networks.py."""

import jax
import numpy as np

from coltran.networks import layers
from coltran.networks.config import UpsamplerConfig
from coltran.weights import parameters


def test_slices_give_what_the_whole_image_gives(monkeypatch):
    size = {"height": 8, "width": 12, "hidden_size": 16, "ff_size": 16, "num_heads": 2, "num_layers": 1}
    network = parameters.build(UpsamplerConfig(**size, num_input_levels=256), seed=0)
    rng = np.random.default_rng(0)
    for parameter in (network.mix.bias, network.head.bias):  # zeros at first: one added twice would not show
        parameter[...] = rng.normal(size=parameter.shape).astype(np.float32)
    levels = rng.integers(0, 256, (2, 8, 12, 3), dtype=np.int32)
    gray = rng.integers(0, 256, (2, 8, 12), dtype=np.int32)
    whole = jax.jit(network)
    logits = [whole(levels[..., channel], np.full(2, channel), gray) for channel in range(3)]

    calls, lax_map = [], jax.lax.map
    monkeypatch.setattr(layers, "_CACHED_VALUES", 8 * 12 * 16 // 4)
    monkeypatch.setattr(jax.lax, "map", lambda *arguments: calls.append(1) or lax_map(*arguments))
    np.testing.assert_array_equal(
        jax.jit(network.argmax)(levels, gray), np.argmax(logits, axis=-1).transpose(1, 2, 3, 0)
    )
    if jax.default_backend() == "cpu":
        assert len(calls) == 5  # channels, and in each: embedding, row layer, column layer, head
