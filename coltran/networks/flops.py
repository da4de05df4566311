"""Counts floating-point operations of the networks. At a machine's matmul rate, no program can be faster than these.

We count only the matrix products (a multiplication and an addition each) of projections, attention, MLPs, conditioning
and heads. Embeddings are look-ups, also an upsampler's mixed ones. Norms, softmax and sums are a percent of the rest.
We count each product once, as coltran/sampling/sampler.py computes it: it projects a context once per pixel, and keeps
keys and values.
"""

from __future__ import annotations

from coltran.networks.conditioning import modulation_size
from coltran.networks.config import ColorizerConfig, UpsamplerConfig
from coltran.networks.upsampler import NUM_CHANNELS


def _layer(config: ColorizerConfig | UpsamplerConfig, length: int) -> int:
    """Counts an unconditional layer at one pixel, which is four projections, attention over `length` and the MLP."""
    size = config.hidden_size
    return 2 * (4 * size * size + 2 * length * size + 2 * size * config.ff_size)


def _conditioning(config: ColorizerConfig, context_size: int) -> int:
    """Counts the projections of one layer's context by cAtt and cMLP at one pixel."""
    products = 0
    if config.attention_modulation != "none":
        size = modulation_size(config.attention_modulation, config.hidden_size)
        products += len(config.attention_modulated) * context_size * size
    if config.mlp_modulation != "none":
        products += context_size * modulation_size(config.mlp_modulation, config.hidden_size)
    return 2 * products


def encoder(config: ColorizerConfig) -> int:
    """Counts the grayscale encoder's operations for one image."""
    pixel = config.num_encoder_layers * (_layer(config, config.width) + _layer(config, config.height))
    return config.height * config.width * pixel


def colorizer_sample(config: ColorizerConfig) -> int:
    """Counts what the cached sampler needs at least to encode and sample one image."""
    size = config.hidden_size
    outer = _layer(config, config.width) + _layer(config, config.height) + 2 * _conditioning(config, size)
    inner = _layer(config, config.width) + _conditioning(config, 2 * size)
    pixel = config.num_outer_layers * outer + config.num_inner_layers * inner + 2 * size * config.num_symbols
    return encoder(config) + config.height * config.width * pixel


def upsampler_image(config: UpsamplerConfig) -> int:
    """Counts an upsampler's operations for one image with all three channels."""
    size = config.hidden_size
    pixel = config.num_layers * (_layer(config, config.width) + _layer(config, config.height))
    return NUM_CHANNELS * config.height * config.width * (pixel + 2 * size * config.num_output_levels)


def training_example(config: ColorizerConfig | UpsamplerConfig) -> int:
    """Counts one example of a training step, whose backward pass costs twice as much as the forward pass.

    An upsampler sees one of three channels. We do not count what rematerialization computes again, because it is not
    the model's work.
    """
    if isinstance(config, UpsamplerConfig):
        return 3 * upsampler_image(config) // NUM_CHANNELS
    parallel_head = 2 * config.hidden_size * config.num_symbols * config.height * config.width
    return 3 * (colorizer_sample(config) + parallel_head)
