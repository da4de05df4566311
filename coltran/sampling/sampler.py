"""Samples coarse colors from the colorizer, pixel by pixel, as one compiled program.

The sampler is exact. It draws from the same teacher-forced probabilities as in training. It is also fast. The encoder
runs once per image. The outer decoder runs once per row on that row alone (its column attention keeps the keys and
values of the rows above). The inner decoder runs once per pixel at that pixel alone (its row attention keeps those of
the pixels to the left). The context is projected once per row. The public release instead recomputes rows and images
for every pixel.

coltran/networks/layers.py explains the shape suffixes.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx, struct

from coltran.errors import UserError
from coltran.networks.attention import KeyValueCache
from coltran.networks.axial_layer import Modulation, NormModulation
from coltran.networks.colorizer import Colorizer, Context
from coltran.sampling.choices import SamplerOptions
from coltran.sampling.random_keys import pixel_keys


class CoarseSamples(struct.PyTreeNode):
    """Sampled images.

    Attributes:
      symbols_BHW: int32 coarse colors.
      probability_BHW: float32, the model's probability of each chosen symbol (temperature 1, all symbols).
      max_probability_BHW: float32, its largest probability at each pixel, which shows its certainty (paper, figure 5).
      log_likelihood_B: float32, log2 of the model's probability of the whole image, in bits, at most 0. "The model" is
        the decoder, or in the mode `parallel` the parallel head.
      logits_BHWV: float32, or None without SamplerOptions.keep_logits.
    """

    symbols_BHW: jax.Array
    probability_BHW: jax.Array
    max_probability_BHW: jax.Array
    log_likelihood_B: jax.Array
    logits_BHWV: jax.Array | None


class _Choice(struct.PyTreeNode):
    """The choices at one pixel of every image [B], at all pixels [B,H,W], or stacked by a scan [H,W,B]."""

    symbol: jax.Array
    log_probability: jax.Array
    max_probability: jax.Array
    logits: jax.Array | None


# A scan hands on the embedding of what came before [B,1,W or 1,D], and the keys and values of each layer.
_RowCarry = tuple[jax.Array, list[KeyValueCache]]
# The input of a pixel is its column, its embedding [B,1,1,D] and each layer's modulation.
_PixelInput = tuple[jax.Array, jax.Array, list[Modulation]]


def sample(network: Colorizer, gray_BHW: jax.Array, keys_B2: jax.Array, options: SamplerOptions) -> CoarseSamples:
    """Draws one sample per gray image (int32 [B,H,W]) with keys from `random_keys.sample_keys`. jit can trace it."""
    return sample_from_context(network, network.encode(gray_BHW), keys_B2, options)


def sample_from_context(
    network: Colorizer, context: Context, keys_B2: jax.Array, options: SamplerOptions
) -> CoarseSamples:
    """Samples as `sample` does, but from images that are already encoded, so that samples can share one encoding.

    The context is [B,H,W,D], the keys are uint32 [B,2]. Raises UserError if `top_k` exceeds the number of symbols.
    """
    if options.top_k is not None and options.top_k > network.config.num_symbols:
        raise UserError(f"top_k must be at most {network.config.num_symbols}, got {options.top_k}")
    if options.mode == "parallel":
        return _collect(_choose(network.parallel_logits(context), None, options))
    batch, height, width, _ = context.pixel_BHWD.shape
    outer_norms = [layer.project_norms(context.pixel_BHWD) for layer in network.outer_decoder.layers]
    inner_norms = [layer.project_norms(context.pixel_BHWD) for layer in network.inner_decoder.layers]

    def one_row(carry: _RowCarry, row_input: tuple[jax.Array, ...]) -> tuple[_RowCarry, _Choice]:
        outer_B1WD, caches = carry
        row, pixel_B1WD, modulating_B1WD, outer_position, inner_position = row_input
        row_context = Context(pixel_BHWD=pixel_B1WD, modulating_BHWD=modulating_B1WD)
        norms = inner_norms
        if options.pooling == "row":
            layers = network.inner_decoder.layers
            norms = [layer.project_norms(pixel_B1WD, row_alone=True) for layer in layers]
        choices = _sample_row(network, row * width, row_context, outer_B1WD, inner_position, norms, keys_B2, options)
        embedded_B1WD = network.symbol_embedding.embed(choices.symbol.T[:, None])
        x_B1WD = (embedded_B1WD + outer_position + pixel_B1WD).astype(pixel_B1WD.dtype)
        carry = _outer_row(network, row, x_B1WD, modulating_B1WD, caches, outer_norms)
        return carry, choices

    caches = [
        layer.attention.empty_cache(batch, width, context.pixel_BHWD.dtype)
        for layer in network.outer_decoder.layers
        if layer.attention.along_columns
    ]
    start = (jnp.zeros_like(context.pixel_BHWD[:, :1]), caches)
    rows = (
        jnp.arange(height),
        _split(context.pixel_BHWD, 1),
        _split(context.modulating_BHWD, 1),
        _split(network.outer_decoder.positions(), 1),
        _split(network.inner_decoder.positions(), 1),
    )
    _, choices_HWB = jax.lax.scan(one_row, start, rows)
    return _collect(jax.tree.map(lambda array: jnp.moveaxis(array, 2, 0), choices_HWB))


def _sample_row(
    network: Colorizer,
    first_pixel: jax.Array,
    context: Context,
    outer_B1WD: jax.Array,
    position_11WD: jax.Array,
    norms: list[NormModulation],
    keys_B2: jax.Array,
    options: SamplerOptions,
) -> _Choice:
    """Chooses a row's symbols from left to right. It stacks the choices of the pixels on the first axis, [W,B,...]."""
    layers = network.inner_decoder.layers
    batch, _, width, _ = outer_B1WD.shape
    modulating_B1WC = jnp.concatenate([context.modulating_BHWD, outer_B1WD], axis=-1)
    modulations = [layer.project_context(modulating_B1WC) for layer in layers]
    base_B1WD = position_11WD + context.pixel_BHWD + outer_B1WD

    def one_pixel(carry: _RowCarry, pixel_input: _PixelInput) -> tuple[_RowCarry, _Choice]:
        previous_B11D, caches = carry
        column, base_B11D, modulation = pixel_input
        x_B11D, new_caches = (previous_B11D + base_B11D).astype(outer_B1WD.dtype), []
        for layer, cache, at_pixel, norm in zip(layers, caches, modulation, norms, strict=True):
            x_B11D, cache = layer.step(x_B11D, column, cache, at_pixel, norm)
            new_caches.append(cache)
        logits_BV = network.predict(x_B11D[:, 0, 0])
        choice = _choose(logits_BV, pixel_keys(keys_B2, first_pixel + column), options)
        embedded_B11D = network.symbol_embedding.embed(choice.symbol[:, None, None])
        return (embedded_B11D, new_caches), choice

    # Left of the first pixel there is nothing. In training, the shift puts zeros there.
    start = (jnp.zeros_like(base_B1WD[:, :, :1]), network.inner_decoder.empty_caches(batch, outer_B1WD.dtype))
    columns = (
        jnp.arange(width),
        _split(base_B1WD, 2),
        jax.tree.map(lambda array: _split(array, 2), modulations),
    )
    return jax.lax.scan(one_pixel, start, columns)[1]


def _outer_row(
    network: Colorizer,
    row: jax.Array,
    x_B1WD: jax.Array,
    modulating_B1WD: jax.Array,
    caches: list[KeyValueCache],
    norms: list[NormModulation],
) -> tuple[jax.Array, list[KeyValueCache]]:
    """Runs the outer decoder on one finished row. Returns what conditions the next row, and the longer caches."""
    remaining, new_caches = iter(caches), []
    for layer, norm in zip(network.outer_decoder.layers, norms, strict=True):
        modulation: Modulation = layer.project_context(modulating_B1WD)
        if layer.attention.along_columns:
            x_B1WD, cache = layer.step(x_B1WD, row, next(remaining), modulation, norm)
            new_caches.append(cache)
        else:
            x_B1WD = layer(x_B1WD, modulation, norm)
    return x_B1WD, new_caches


def _choose(logits: jax.Array, keys_B2: jax.Array | None, options: SamplerOptions) -> _Choice:
    """Draws one symbol from each row of logits [..., V], or takes the most likely one (any shape, no keys)."""
    log_p = jax.nn.log_softmax(logits, axis=-1)
    if options.mode != "sample" or keys_B2 is None:
        symbol = jnp.argmax(logits, axis=-1)
    else:
        scaled_BV, allowed_BV = logits / options.temperature, None
        if options.top_k is not None:
            scaled_BV, allowed_BV = jax.lax.top_k(scaled_BV, options.top_k)
        symbol = jax.vmap(jax.random.categorical)(keys_B2, scaled_BV)
        if allowed_BV is not None:
            symbol = jnp.take_along_axis(allowed_BV, symbol[:, None], axis=-1)[:, 0]
    return _Choice(
        symbol=symbol.astype(jnp.int32),
        log_probability=jnp.take_along_axis(log_p, symbol[..., None], axis=-1)[..., 0],
        max_probability=jnp.minimum(jnp.exp(log_p.max(axis=-1)), 1.0),
        logits=logits if options.keep_logits else None,
    )


def _split(array: jax.Array, axis: int) -> jax.Array:
    """Turns [..., L, ...] into [L, ..., 1, ...], so that a scan over `axis` reads one slice at a time."""
    return jnp.expand_dims(jnp.moveaxis(array, axis, 0), axis + 1)


def _collect(images: _Choice) -> CoarseSamples:
    """Turns choices [B,H,W] into images."""
    return CoarseSamples(
        symbols_BHW=images.symbol,
        probability_BHW=jnp.exp(images.log_probability),
        max_probability_BHW=images.max_probability,
        log_likelihood_B=images.log_probability.sum(axis=(1, 2)) / math.log(2),
        logits_BHWV=images.logits,
    )


sample_compiled = nnx.jit(sample, static_argnames="options")
