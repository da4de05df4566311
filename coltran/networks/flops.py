"""Floating-point operations of the three networks: what no program can be faster than at a machine's matmul rate.

Counted are the matrix products alone (a multiplication and an addition each): projections, attention, MLPs,
conditioning and heads. Embeddings, an upsampler's mixed ones too, are look-ups, and norms, softmax and sums are a
percent of the rest. Each product is counted once, as coltran/sampling/sampler.py does it: a context is projected once
per pixel, keys and values are kept.
"""

from __future__ import annotations

from coltran.networks.conditioning import modulation_size
from coltran.networks.config import ColorizerConfig, UpsamplerConfig
from coltran.networks.upsampler import NUM_CHANNELS


def _layer(config: ColorizerConfig | UpsamplerConfig, length: int) -> int:
    """One axial layer at one pixel, without conditioning: four projections, attention over `length`, the MLP."""
    size = config.hidden_size
    return 2 * (4 * size * size + 2 * length * size + 2 * size * config.ff_size)


def _conditioning(config: ColorizerConfig, context_size: int) -> int:
    """cAtt's and cMLP's projections of one layer's context at one pixel."""
    products = 0
    if config.attention_modulation != "none":
        size = modulation_size(config.attention_modulation, config.hidden_size)
        products += len(config.attention_modulated) * context_size * size
    if config.mlp_modulation != "none":
        products += context_size * modulation_size(config.mlp_modulation, config.hidden_size)
    return 2 * products


def encoder(config: ColorizerConfig) -> int:
    """The grayscale encoder, one image."""
    pixel = config.num_encoder_layers * (_layer(config, config.width) + _layer(config, config.height))
    return config.height * config.width * pixel


def colorizer_sample(config: ColorizerConfig) -> int:
    """Sampling one image with its encoding: what the cached sampler cannot do without."""
    size = config.hidden_size
    outer = _layer(config, config.width) + _layer(config, config.height) + 2 * _conditioning(config, size)
    inner = _layer(config, config.width) + _conditioning(config, 2 * size)
    pixel = config.num_outer_layers * outer + config.num_inner_layers * inner + 2 * size * config.num_symbols
    return encoder(config) + config.height * config.width * pixel


def upsampler_image(config: UpsamplerConfig) -> int:
    """One image, all three channels."""
    size = config.hidden_size
    pixel = config.num_layers * (_layer(config, config.width) + _layer(config, config.height))
    return NUM_CHANNELS * config.height * config.width * (pixel + 2 * size * config.num_output_levels)


def training_example(config: ColorizerConfig | UpsamplerConfig) -> int:
    """One example of a training step: forward, and backward at twice that. An upsampler sees one of three channels.

    What rematerialization computes again is not counted: it is not the model's work.
    """
    if isinstance(config, UpsamplerConfig):
        return 3 * upsampler_image(config) // NUM_CHANNELS
    parallel_head = 2 * config.hidden_size * config.num_symbols * config.height * config.width
    return 3 * (colorizer_sample(config) + parallel_head)
