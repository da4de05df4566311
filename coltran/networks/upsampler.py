"""The color and the spatial upsampler compute every color channel in parallel (paper, sections 4.3 and 4.4).

The color upsampler maps 3-bit channels at low resolution to 8-bit channels. The spatial one maps an 8-bit image that is
enlarged by pixel repetition to the 8-bit image at high resolution. Both see the gray image. coltran/networks/layers.py
explains the shape suffixes.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from coltran.networks.axial_layer import AxialLayer, Conditioning
from coltran.networks.config import UpsamplerConfig
from coltran.networks.initializers import Initializer
from coltran.networks.layers import Dense, PositionEmbedding, look_up, map_slices, precise

NUM_CHANNELS = 3


class Upsampler(nnx.Module):
    """Maps levels of one channel and the gray image to logits of that channel's 8-bit levels."""

    def __init__(self, config: UpsamplerConfig, *, init: Initializer):
        self.config = config
        size = config.hidden_size
        levels = NUM_CHANNELS * config.num_input_levels
        self.channel_embedding = Dense(levels, size, use_bias=False, init=init)
        gray = Dense(config.num_gray_levels, size, use_bias=False, init=init) if config.grayscale else None
        self.gray_embedding = gray
        self.mix = Dense(2 * size if config.grayscale else size, size, init=init)
        self.positions = PositionEmbedding(config.height, config.width, size, init=init)
        self.layers = nnx.List(
            AxialLayer(
                height=config.height,
                width=config.width,
                hidden_size=size,
                num_heads=config.num_heads,
                ff_size=config.ff_size,
                along_columns=along,
                masked=False,
                conditioning=Conditioning(),
                init=init,
            )
            for _ in range(config.num_layers)
            for along in (False, True)
        )
        self.head = Dense(size, config.num_output_levels, init=init)

    def __call__(self, levels_BHW: jax.Array, channel_B: jax.Array, gray_BHW: jax.Array) -> jax.Array:
        """Computes float32 logits [B,H,W,V] of one channel per image.

        Args:
          levels_BHW: int32, the channel's input levels, 0..num_input_levels-1.
          channel_B: int32, the channel of each image: 0 red, 1 green, 2 blue.
          gray_BHW: int32, gray levels 0..num_gray_levels-1; ignored if the config has no grayscale input.
        """
        return self._predict(self._features(levels_BHW, channel_B, gray_BHW))

    def argmax(self, levels_BHW3: jax.Array, gray_BHW: jax.Array) -> jax.Array:
        """Computes the most likely image, uint8 [B,H,W,3]. It works channel by channel to save memory."""

        def one_channel(args: tuple[jax.Array, jax.Array]) -> jax.Array:
            levels_BHW, channel = args
            channel_B = jnp.broadcast_to(channel, levels_BHW.shape[:1])
            x_BHWD = self._features(levels_BHW, channel_B, gray_BHW)
            return map_slices(likeliest, x_BHWD, axis=1)

        def likeliest(x_BHWD: jax.Array) -> jax.Array:
            return jnp.argmax(self._predict(x_BHWD), axis=-1).astype(jnp.uint8)

        levels_3BHW = jnp.moveaxis(levels_BHW3, -1, 0)
        image_3BHW = jax.lax.map(one_channel, (levels_3BHW, jnp.arange(NUM_CHANNELS)))
        return jnp.moveaxis(image_3BHW, 0, -1)

    def _features(self, levels_BHW: jax.Array, channel_B: jax.Array, gray_BHW: jax.Array) -> jax.Array:
        """Computes what the head reads, [B,H,W,D]."""
        x_BHWD = self._embed(levels_BHW, channel_B, gray_BHW)
        for layer in self.layers:
            axis = 2 if layer.attention.along_columns else 1
            x_BHWD = map_slices(layer.alone, x_BHWD, axis=axis)
        return x_BHWD

    def _embed(self, levels_BHW: jax.Array, channel_B: jax.Array, gray_BHW: jax.Array) -> jax.Array:
        """Computes mixed embeddings of levels and gray with their positions, [B,H,W,D].

        The output of `mix` depends only on the level, so we apply `mix` to the tables and not to the pixels.
        """
        offset_B11 = (channel_B * self.config.num_input_levels)[:, None, None]
        inputs = [(self.channel_embedding, levels_BHW + offset_B11)]
        if self.gray_embedding is not None:
            inputs.append((self.gray_embedding, gray_BHW))
        kernels = jnp.split(self.mix.kernel[...], len(inputs))
        tables = [embedding.kernel[...] @ kernel for (embedding, _), kernel in zip(inputs, kernels, strict=True)]
        columns_11WD = self.positions.columns[...][None, None]

        def embed(rows_1H1D: jax.Array, *indices_BHW: jax.Array) -> jax.Array:
            x_BHWD = rows_1H1D + columns_11WD
            for table, index_BHW in zip(tables, indices_BHW, strict=True):
                x_BHWD += look_up(table, index_BHW)
            return x_BHWD.astype(self.config.compute_dtype)

        rows_H1D = self.positions.rows[...]
        if self.mix.bias is not None:
            rows_H1D = rows_H1D + self.mix.bias[...][None, None]
        return map_slices(embed, rows_H1D[None], *(index_BHW for _, index_BHW in inputs), axis=1)

    def _predict(self, x_BHWD: jax.Array) -> jax.Array:
        """Computes the logits, float32 [B,H,W,V]."""
        return self.head(precise(x_BHWD))
