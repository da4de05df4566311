"""Samples a row by forecasts: guess some pixels, check them all at once, keep those up to the first wrong guess.

Drawing a symbol takes the largest of logits plus noise, and a pixel's noise belongs to its key. So a row is a fixed
point: the symbols that the decoder chooses, with this noise, after exactly these symbols. The parallel head guesses the
row with the same noise. One pass of the inner decoder over a window of pixels then tells what the decoder would have
chosen after the guesses. The first pixel of the window is right in any case, and each further pixel is right as long as
all guesses before it were. The next pass begins after the last right pixel, and takes what this pass chose as its
guesses. After Wiggers and Hoogeboom, "Predictive Sampling with Forecasting Autoregressive Models" (2020).

The images of a batch wait for each other: the window begins where the slowest of them is. So all arrays are cut at one
place, which is several times faster than a place for each image.

The sample is that of the pixel-by-pixel order. Only sums are rounded in another order.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from coltran.networks.attention import KeyValueCache
from coltran.networks.colorizer import Colorizer
from coltran.sampling.choices import SamplerOptions
from coltran.sampling.draws import Choice, describe, draw
from coltran.sampling.rows import Row


class _Progress(struct.PyTreeNode):
    """What a pass hands on to the next one.

    Attributes:
      done: int32, how many pixels of the row are final in all images.
      symbol_BW: int32; those beyond the final ones are guesses.
      logits_BWV: what the symbols were chosen from, at final pixels.
      caches: keys and values of each layer, at the final pixels and some guesses.
      passes: int32, how many passes there were.
    """

    done: jax.Array
    symbol_BW: jax.Array
    logits_BWV: jax.Array
    caches: list[KeyValueCache]
    passes: jax.Array


def sample_row(network: Colorizer, row: Row, options: SamplerOptions) -> tuple[Choice, jax.Array]:
    """Chooses the symbols of a row; `options.window` pixels are checked at once.

    Returns:
      The choices, stacked [W,B], and how many times the inner decoder ran for each image, int32 [B].
    """
    batch, _, width, _ = row.base_B1WD.shape
    start = _Progress(
        done=jnp.int32(0),
        symbol_BW=draw(row.parallel_BWV, row.noise_BWV, options),
        logits_BWV=jnp.zeros_like(row.parallel_BWV),
        caches=network.inner_decoder.empty_caches(batch, row.dtype),
        passes=jnp.int32(0),
    )
    ended = jax.lax.while_loop(
        lambda progress: progress.done < width, lambda progress: _pass(network, row, progress, options), start
    )
    choices_BW = describe(ended.symbol_BW, ended.logits_BWV, options)
    return jax.tree.map(lambda array: jnp.moveaxis(array, 0, 1), choices_BW), jnp.full(batch, ended.passes)


def _pass(network: Colorizer, row: Row, before: _Progress, options: SamplerOptions) -> _Progress:
    """Runs the inner decoder over the window that begins at the first pixel that is not final in all images."""
    width = before.symbol_BW.shape[1]
    window = min(options.window, width)
    first = jnp.minimum(before.done, width - window)  # at the row's end the window begins with final pixels
    logits_BPV, caches = _decode(network, row, before, first, window)
    noise_BPV = None if row.noise_BWV is None else _cut(row.noise_BWV, first, window)
    guess_BP = _cut(before.symbol_BW, first, window)
    is_final_P = first + jnp.arange(window) < before.done
    symbol_BP = jnp.where(is_final_P, guess_BP, draw(logits_BPV, noise_BPV, options))
    replace = jax.lax.dynamic_update_slice_in_dim
    return _Progress(
        done=jnp.minimum(first + _count_final(symbol_BP == guess_BP), width),
        symbol_BW=replace(before.symbol_BW, symbol_BP, first, axis=1),
        logits_BWV=replace(before.logits_BWV, logits_BPV, first, axis=1),
        caches=caches,
        passes=before.passes + 1,
    )


def _count_final(right_BP: jax.Array) -> jax.Array:
    """Counts the window's pixels that are final in all images: the right guesses up to a wrong one, and one more.

    That pixel was guessed wrong, but the pass chose its symbol after right symbols only.
    """
    right_P = right_BP.all(axis=0).astype(jnp.int32)
    return jnp.minimum(jnp.cumprod(right_P).sum() + 1, right_P.size)


def _decode(
    network: Colorizer, row: Row, before: _Progress, first: jax.Array, window: int
) -> tuple[jax.Array, list[KeyValueCache]]:
    """Runs the inner decoder over a window of pixels, given the symbols to the left. Returns logits [B,P,V]."""
    # Left of the first pixel there is nothing. In training, the shift puts zeros there.
    left_BP = _cut(jnp.pad(before.symbol_BW, ((0, 0), (1, 0))), first, window)
    left_BPD = network.symbol_embedding.embed(left_BP)
    left_BPD = jnp.where((first + jnp.arange(window) > 0)[None, :, None], left_BPD, 0)
    x_B1PD = (left_BPD[:, None] + _cut(row.base_B1WD, first, window, axis=2)).astype(row.dtype)
    caches = []
    layers = network.inner_decoder.layers
    per_layer = zip(layers, before.caches, row.modulations, row.norms, row.outputs, strict=True)
    for layer, cache, modulation, norm, output in per_layer:
        at_window = jax.tree.map(lambda array: _cut(array, first, window, axis=2), modulation)
        x_B1PD, cache = layer.step_window(x_B1PD, first, cache, at_window, norm, output)
        caches.append(cache)
    return network.predict(x_B1PD[:, 0]), caches


def _cut(array: jax.Array, first: jax.Array, window: int, axis: int = 1) -> jax.Array:
    """Takes `window` neighbors along an axis, from `first` on."""
    return jax.lax.dynamic_slice_in_dim(array, first, window, axis=axis)
