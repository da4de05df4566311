"""Draws a network's results for some validation images beside the truth, as one picture per evaluation."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from coltran.images import colors
from coltran.images.contact_sheet import contact_sheet
from coltran.networks.config import NetworkConfig, UpsamplerConfig
from coltran.sampling import sampler
from coltran.sampling.certainty import certainty_colors
from coltran.sampling.programs import chunks, images_at_once
from coltran.sampling.random_keys import sample_keys
from coltran.training import inputs
from coltran.weights import parameters

SAMPLES = 2  # samples of each image
_COLORIZER_TITLES = ("gray", *(f"sample {index}" for index in range(SAMPLES)), "certainty", "truth")
_UPSAMPLER_TITLES = ("gray", "input", "output", "truth")


class SampleGrid:
    """Draws the first examples of a folder, always with the same random keys, so that pictures can be compared.

    A colorizer's truth and samples are coarse colors. Its certainty belongs to sample 0 (paper, figure 5).
    """

    def __init__(self, stage: str, config: NetworkConfig, examples: inputs.Examples, count: int, seed: int):
        self._stage, self._config = stage, config
        count = min(count, len(examples))
        self._batch = examples.batch(np.arange(count))
        numbers, indices = [str(i) for i in range(count)] * SAMPLES, np.repeat(np.arange(SAMPLES), count).tolist()
        self._keys = sample_keys(seed, numbers, indices)
        options = sampler.SamplerOptions()

        def sample(flat: Mapping[str, Any], gray: jax.Array, keys: jax.Array) -> sampler.CoarseSamples:
            network: Any = parameters.restore(config, flat)
            return sampler.sample(network, gray, keys, options)

        def argmax(flat: Mapping[str, Any], levels: jax.Array, gray: jax.Array) -> jax.Array:
            network: Any = parameters.restore(config, flat)
            return network.argmax(levels, gray)

        self._sample, self._argmax = jax.jit(sample), jax.jit(argmax)

    def draw(self, flat: Mapping[str, Any]) -> bytes:
        """Draws the pictures that a network with the parameters `flat` makes. Returns the bytes of a PNG file."""
        if self._stage == "colorizer":
            return contact_sheet(self._colorized(flat), _COLORIZER_TITLES)
        return contact_sheet(self._upsampled(flat), _UPSAMPLER_TITLES)

    def _colorized(self, flat: Mapping[str, Any]) -> list[list[np.ndarray]]:
        gray, truth = self._batch["gray"], colors.coarse_to_rgb(self._batch["symbols"])
        made = jax.device_get(self._sample(flat, np.concatenate([gray] * SAMPLES).astype(np.int32), self._keys))
        pictures = colors.coarse_to_rgb(made.symbols_BHW.astype(np.uint16))
        return [
            [
                _as_rgb(gray[i]),
                *(pictures[i + index * len(gray)] for index in range(SAMPLES)),
                certainty_colors(made.max_probability_BHW[i]),
                truth[i],
            ]
            for i in range(len(gray))
        ]

    def _upsampled(self, flat: Mapping[str, Any]) -> list[list[np.ndarray]]:
        gray, levels = self._batch["gray"], self._batch["levels"]
        coarse = isinstance(self._config, UpsamplerConfig) and self._config.num_input_levels == 8
        shift = colors.COARSE_BITS if coarse else 0
        arrays = (levels.astype(np.int32), gray.astype(np.int32))
        made = [np.asarray(self._argmax(flat, *chunk)) for chunk in chunks(images_at_once(len(gray)), *arrays)]
        pictures, shown = np.concatenate(made), (levels << shift).astype(np.uint8)
        return [[_as_rgb(gray[i]), shown[i], pictures[i], self._batch["target"][i]] for i in range(len(gray))]


def _as_rgb(gray_HW: np.ndarray) -> np.ndarray:
    return np.repeat(gray_HW[..., None], 3, axis=-1)
