"""The colorizer maps a gray image to a distribution over coarse colors (paper, sections 4.1 and 4.2; appendix H).

Symbols are coarse colors, 64 r + 8 g + b of 3-bit channels, in 0..num_symbols-1. coltran/networks/layers.py explains
the shape suffixes.
"""

import jax
import jax.numpy as jnp
from flax import nnx, struct

from coltran.networks.attention import KeyValueCache
from coltran.networks.axial_layer import AxialLayer, Conditioning
from coltran.networks.config import ColorizerConfig
from coltran.networks.initializers import Initializer
from coltran.networks.layers import Dense, LayerNorm, PositionEmbedding, precise


class ColorizerLogits(struct.PyTreeNode):
    """Float32 logits of both heads, which are the autoregressive decoder and the parallel head."""

    decoder_BHWV: jax.Array
    parallel_BHWV: jax.Array


def _layer(
    config: ColorizerConfig, *, along_columns: bool, masked: bool, conditioning: Conditioning, init: Initializer
) -> AxialLayer:
    return AxialLayer(
        height=config.height,
        width=config.width,
        hidden_size=config.hidden_size,
        num_heads=config.num_heads,
        ff_size=config.ff_size,
        along_columns=along_columns,
        masked=masked,
        conditioning=conditioning,
        init=init,
    )


def _conditioning(config: ColorizerConfig, context_size: int) -> Conditioning:
    return Conditioning(
        context_size=context_size,
        attention_modulation=config.attention_modulation,
        attention_modulated=config.attention_modulated,
        mlp_modulation=config.mlp_modulation,
        conditional_layer_norm=config.conditional_layer_norm,
    )


class GrayscaleEncoder(nnx.Module):
    """Turns gray levels into context with an embedding, positions, then unmasked row and column layers in turn."""

    def __init__(self, config: ColorizerConfig, *, init: Initializer):
        self.dtype = config.compute_dtype
        self.embedding = Dense(config.num_gray_levels, config.hidden_size, init=init)
        self.positions = PositionEmbedding(config.height, config.width, config.hidden_size, init=init)
        self.layers = nnx.List(
            _layer(config, along_columns=along, masked=False, conditioning=Conditioning(), init=init)
            for _ in range(config.num_encoder_layers)
            for along in (False, True)
        )

    def __call__(self, gray_BHW: jax.Array) -> jax.Array:
        x_BHWD = (self.embedding.embed(gray_BHW) + self.positions()).astype(self.dtype)
        for layer in self.layers:
            x_BHWD = layer.alone(x_BHWD)
        return x_BHWD


class OuterDecoder(nnx.Module):
    """Summarizes all rows above each row with unmasked row layers and masked column layers in turn (section 4.1)."""

    def __init__(self, config: ColorizerConfig, *, init: Initializer):
        self.positions = PositionEmbedding(config.height, config.width, config.hidden_size, init=init)
        conditioning = _conditioning(config, config.hidden_size)
        self.layers = nnx.List(
            _layer(config, along_columns=along, masked=along, conditioning=conditioning, init=init)
            for _ in range(config.num_outer_layers)
            for along in (False, True)
        )

    def __call__(self, embedded_BHWD: jax.Array, context: "Context") -> jax.Array:
        """Returns [B,H,W,D], whose row i depends on rows 0..i-1 of the symbols' embeddings [B,H,W,D]. Row 0 is zero."""
        x_BHWD = (embedded_BHWD + self.positions() + context.pixel_BHWD).astype(context.pixel_BHWD.dtype)
        for layer in self.layers:
            x_BHWD = layer.over(x_BHWD, context.modulating_BHWD, context.pixel_BHWD)
        return jnp.pad(x_BHWD, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]


class InnerDecoder(nnx.Module):
    """Reads a row from left to right, given the rows above and the gray image (section 4.1)."""

    def __init__(self, config: ColorizerConfig, *, init: Initializer):
        self.positions = PositionEmbedding(config.height, config.width, config.hidden_size, init=init)
        conditioning = _conditioning(config, 2 * config.hidden_size)
        self.layers = nnx.List(
            _layer(config, along_columns=False, masked=True, conditioning=conditioning, init=init)
            for _ in range(config.num_inner_layers)
        )

    def __call__(self, embedded_BHWD: jax.Array, outer_BHWD: jax.Array, context: "Context") -> jax.Array:
        shifted_BHWD = jnp.pad(embedded_BHWD, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1]
        x_BHWD = shifted_BHWD + self.positions() + context.pixel_BHWD + outer_BHWD
        x_BHWD = x_BHWD.astype(context.pixel_BHWD.dtype)
        modulating_BHWC = jnp.concatenate([context.modulating_BHWD, outer_BHWD], axis=-1)
        for layer in self.layers:
            # We must not pool the outer context over the image, because earlier rows would then see later ones.
            x_BHWD = layer.over(x_BHWD, modulating_BHWC, context.pixel_BHWD)
        return x_BHWD

    def empty_caches(self, batch: int, dtype: jnp.dtype) -> list[KeyValueCache]:
        """Makes one empty cache for each layer, for a single row of `batch` images, in the dtype `dtype`."""
        return [layer.attention.empty_cache(batch, 1, dtype) for layer in self.layers]


class Context(struct.PyTreeNode):
    """The encoder's output [B,H,W,D], and what cAtt and cMLP see of it, which is the same or its spatial mean."""

    pixel_BHWD: jax.Array
    modulating_BHWD: jax.Array


class Colorizer(nnx.Module):
    """Maps a gray image and, for likelihoods, its coarse colors to logits of every pixel's coarse color."""

    def __init__(self, config: ColorizerConfig, *, init: Initializer):
        self.config = config
        self.encoder = GrayscaleEncoder(config, init=init)
        self.parallel_head = Dense(config.hidden_size, config.num_symbols, use_bias=False, init=init)
        self.symbol_embedding = Dense(config.num_symbols, config.hidden_size, use_bias=False, init=init)
        self.outer_decoder = OuterDecoder(config, init=init)
        self.inner_decoder = InnerDecoder(config, init=init)
        self.norm = LayerNorm(config.hidden_size)
        self.head = Dense(config.hidden_size, config.num_symbols, init=init)

    def __call__(self, gray_BHW: jax.Array, symbols_BHW: jax.Array) -> ColorizerLogits:
        """Computes the teacher-forced logits of both heads, [B,H,W,V].

        Args:
          gray_BHW: int32, gray levels 0..num_gray_levels-1.
          symbols_BHW: int32, the true symbols; the decoder's logits at a pixel depend only on earlier symbols.
        """
        context = self.encode(gray_BHW)
        decoder_BHWV = self.decode(self.symbol_embedding.embed(symbols_BHW), context)
        return ColorizerLogits(decoder_BHWV=decoder_BHWV, parallel_BHWV=self.parallel_logits(context))

    def encode(self, gray_BHW: jax.Array) -> Context:
        """Computes the context of gray images, int32 [B,H,W] in 0..num_gray_levels-1."""
        pixel_BHWD = self.encoder(gray_BHW)
        modulating_BHWD = pixel_BHWD
        if self.config.context == "global":
            mean_B11D = pixel_BHWD.mean(axis=(1, 2), keepdims=True)
            modulating_BHWD = jnp.broadcast_to(mean_B11D, pixel_BHWD.shape)
        return Context(pixel_BHWD=pixel_BHWD, modulating_BHWD=modulating_BHWD)

    def decode(self, embedded_BHWD: jax.Array, context: Context) -> jax.Array:
        """Computes decoder logits [B,H,W,V] from embedded symbols. Each logit depends only on earlier pixels."""
        outer_BHWD = self.outer_decoder(embedded_BHWD, context)
        return self.predict(self.inner_decoder(embedded_BHWD, outer_BHWD, context))

    def predict(self, x: jax.Array) -> jax.Array:
        """Computes float32 logits [..., V] from the inner decoder's output [..., D]."""
        return self.head(self.norm(precise(x)))

    def parallel_logits(self, context: Context) -> jax.Array:
        """Computes the parallel head's logits [B,H,W,V] (paper, section 4.2). Every pixel depends only on gray."""
        return self.parallel_head(precise(context.pixel_BHWD))
