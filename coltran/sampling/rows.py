"""Samples a row pixel by pixel. `forecast.py` does the same in fewer, larger steps.

The inner decoder runs once per pixel at that pixel alone. Its row attention keeps the keys and values of the pixels to
the left. The context is projected once per row, and the random numbers are drawn once per row.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from coltran.networks.attention import KeyValueCache
from coltran.networks.axial_layer import Modulation, NormModulation
from coltran.networks.colorizer import Colorizer
from coltran.sampling.choices import SamplerOptions
from coltran.sampling.draws import Choice, describe, draw


class Row(struct.PyTreeNode):
    """What is known of a row before its symbols.

    Attributes:
      base_B1WD: what is added to the embedding of the symbol to the left.
      modulations: of each layer, at every pixel of the row.
      norms: of each layer.
      outputs: of each layer's attention, its `output_kernel`.
      noise_BWV: the random numbers of every pixel (see `draws.gumbel_noise`), or None for modes that do not draw.
      parallel_BWV: the parallel head's logits, from which forecasts start.
      dtype: dtype of the decoder's activations.
    """

    base_B1WD: jax.Array
    modulations: list[Modulation]
    norms: list[NormModulation]
    outputs: list[jax.Array]
    noise_BWV: jax.Array | None
    parallel_BWV: jax.Array
    dtype: jnp.dtype = struct.field(pytree_node=False)


# A scan hands on the embedding of what came before [B,1,1,D], and the keys and values of each layer.
_Carry = tuple[jax.Array, list[KeyValueCache]]
# The input of a pixel is its column, its embedding [B,1,1,D], each layer's modulation, and its random numbers [B,V].
_PixelInput = tuple[jax.Array, jax.Array, list[Modulation], jax.Array | None]


def sample_row(network: Colorizer, row: Row, options: SamplerOptions) -> tuple[Choice, jax.Array]:
    """Chooses a row's symbols from left to right.

    Returns:
      The choices, stacked [W,B], and how many times the inner decoder ran for each image, int32 [B].
    """
    layers = network.inner_decoder.layers
    batch, _, width, _ = row.base_B1WD.shape

    def one_pixel(carry: _Carry, pixel_input: _PixelInput) -> tuple[_Carry, Choice]:
        previous_B11D, caches = carry
        column, base_B11D, modulation, noise_BV = pixel_input
        x_B11D, new_caches = (previous_B11D + base_B11D).astype(row.dtype), []
        per_layer = zip(layers, caches, modulation, row.norms, row.outputs, strict=True)
        for layer, cache, at_pixel, norm, output in per_layer:
            x_B11D, cache = layer.step(x_B11D, column, cache, at_pixel, norm, output)
            new_caches.append(cache)
        logits_BV = network.predict(x_B11D[:, 0, 0])
        symbol_B = draw(logits_BV, noise_BV, options)
        embedded_B11D = network.symbol_embedding.embed(symbol_B[:, None, None])
        return (embedded_B11D, new_caches), describe(symbol_B, logits_BV, options)

    # Left of the first pixel there is nothing. In training, the shift puts zeros there.
    start = (jnp.zeros_like(row.base_B1WD[:, :, :1]), network.inner_decoder.empty_caches(batch, row.dtype))
    columns = (
        jnp.arange(width),
        split(row.base_B1WD, 2),
        jax.tree.map(lambda array: split(array, 2), row.modulations),
        None if row.noise_BWV is None else jnp.moveaxis(row.noise_BWV, 1, 0),
    )
    return jax.lax.scan(one_pixel, start, columns)[1], jnp.full(batch, width, jnp.int32)


def split(array: jax.Array, axis: int) -> jax.Array:
    """Turns [..., L, ...] into [L, ..., 1, ...], so that a scan over `axis` reads one slice at a time."""
    return jnp.expand_dims(jnp.moveaxis(array, axis, 0), axis + 1)
