"""Samples coarse colors from the colorizer, pixel by pixel, as one compiled program.

The sampler is exact. It draws from the same teacher-forced probabilities as in training. It is also fast. The encoder
runs once per image. The outer decoder runs once per row on that row alone (its column attention keeps the keys and
values of the rows above). The inner decoder runs once per pixel at that pixel alone (its row attention keeps those of
the pixels to the left), or at a few pixels at once (`forecast.py`). The context is projected once per row. The public
release instead recomputes rows and images for every pixel.

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
from coltran.sampling import forecast, rows
from coltran.sampling.choices import SamplerOptions
from coltran.sampling.draws import Choice, describe, draw, gumbel_noise
from coltran.sampling.random_keys import row_keys
from coltran.sampling.rows import Row, split


class CoarseSamples(struct.PyTreeNode):
    """Sampled images.

    Attributes:
      symbols_BHW: int32 coarse colors.
      probability_BHW: float32, the model's probability of each chosen symbol (temperature 1, all symbols).
      max_probability_BHW: float32, its largest probability at each pixel, which shows its certainty (paper, figure 5).
      log_likelihood_B: float32, log2 of the model's probability of the whole image, in bits, at most 0. "The model" is
        the decoder, or in the mode `parallel` the parallel head.
      logits_BHWV: float32, or None without SamplerOptions.keep_logits.
      passes_BH: int32, how often the inner decoder ran for each row; None in the mode `parallel`, which has no decoder.
    """

    symbols_BHW: jax.Array
    probability_BHW: jax.Array
    max_probability_BHW: jax.Array
    log_likelihood_B: jax.Array
    logits_BHWV: jax.Array | None
    passes_BH: jax.Array | None = None


# A scan over rows hands on the outer decoder's output [B,1,W,D], and the keys and values of its column layers.
_Carry = tuple[jax.Array, list[KeyValueCache]]


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
        logits_BHWV = network.parallel_logits(context)
        return _collect(describe(draw(logits_BHWV, None, options), logits_BHWV, options), None)
    batch, height, width, _ = context.pixel_BHWD.shape
    sample_row = forecast.sample_row if options.window > 1 else rows.sample_row
    outer_norms = [layer.project_norms(context.pixel_BHWD) for layer in network.outer_decoder.layers]
    inner_norms = [layer.project_norms(context.pixel_BHWD) for layer in network.inner_decoder.layers]
    inner_outputs = [layer.attention.output_kernel(context.pixel_BHWD.dtype) for layer in network.inner_decoder.layers]

    def one_row(carry: _Carry, row_input: tuple[jax.Array, ...]) -> tuple[_Carry, tuple[Choice, jax.Array]]:
        outer_B1WD, caches = carry
        row, pixel_B1WD, modulating_B1WD, outer_position, inner_position = row_input
        row_context = Context(pixel_BHWD=pixel_B1WD, modulating_BHWD=modulating_B1WD)
        norms = inner_norms
        if options.pooling == "row":
            layers = network.inner_decoder.layers
            norms = [layer.project_norms(pixel_B1WD, row_alone=True) for layer in layers]
        keys_BW2 = row_keys(keys_B2, row * width, width)
        known = _know(network, row_context, outer_B1WD, inner_position, norms, inner_outputs, keys_BW2, options)
        choices, passes_B = sample_row(network, known, options)
        embedded_B1WD = network.symbol_embedding.embed(choices.symbol.T[:, None])
        x_B1WD = (embedded_B1WD + outer_position + pixel_B1WD).astype(pixel_B1WD.dtype)
        carry = _outer_row(network, row, x_B1WD, modulating_B1WD, caches, outer_norms)
        return carry, (choices, passes_B)

    caches = [
        layer.attention.empty_cache(batch, width, context.pixel_BHWD.dtype)
        for layer in network.outer_decoder.layers
        if layer.attention.along_columns
    ]
    start = (jnp.zeros_like(context.pixel_BHWD[:, :1]), caches)
    inputs = (
        jnp.arange(height),
        split(context.pixel_BHWD, 1),
        split(context.modulating_BHWD, 1),
        split(network.outer_decoder.positions(), 1),
        split(network.inner_decoder.positions(), 1),
    )
    _, (choices_HWB, passes_HB) = jax.lax.scan(one_row, start, inputs)
    return _collect(jax.tree.map(lambda array: jnp.moveaxis(array, 2, 0), choices_HWB), passes_HB.T)


def _know(
    network: Colorizer,
    context: Context,
    outer_B1WD: jax.Array,
    position_11WD: jax.Array,
    norms: list[NormModulation],
    outputs: list[jax.Array],
    keys_BW2: jax.Array,
    options: SamplerOptions,
) -> Row:
    """Gathers what is known of a row before its symbols; the context [B,1,W,D] is that of the row."""
    parallel_BWV = network.parallel_logits(context)[:, 0]
    modulating_B1WC = jnp.concatenate([context.modulating_BHWD, outer_B1WD], axis=-1)
    return Row(
        base_B1WD=position_11WD + context.pixel_BHWD + outer_B1WD,
        modulations=[layer.project_context(modulating_B1WC) for layer in network.inner_decoder.layers],
        norms=norms,
        outputs=outputs,
        noise_BWV=gumbel_noise(keys_BW2, parallel_BWV, options),
        parallel_BWV=parallel_BWV,
        dtype=outer_B1WD.dtype,
    )


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


def _collect(images: Choice, passes_BH: jax.Array | None) -> CoarseSamples:
    """Turns choices [B,H,W] into images."""
    return CoarseSamples(
        symbols_BHW=images.symbol,
        probability_BHW=jnp.exp(images.log_probability),
        max_probability_BHW=images.max_probability,
        log_likelihood_B=images.log_probability.sum(axis=(1, 2)) / math.log(2),
        logits_BHWV=images.logits,
        passes_BH=passes_BH,
    )


sample_compiled = nnx.jit(sample, static_argnames="options")
