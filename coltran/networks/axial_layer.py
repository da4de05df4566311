"""One axial layer is attention along an axis, then an MLP. Each is added to its input, then normalized (post-norm).

The encoder, the outer and inner decoder and both upsamplers are lists of this layer (paper, section 4; appendix H).
"""

from collections.abc import Callable

import jax
from flax import nnx, struct

from coltran.networks.attention import AxialAttention, KeyValueCache
from coltran.networks.conditioning import ConditionalLayerNorm, modulate, modulation_size
from coltran.networks.initializers import Initializer
from coltran.networks.layers import Dense, LayerNorm


class Conditioning(struct.PyTreeNode):
    """The sizes and kinds of a layer's conditioning. The defaults mean an unconditional layer."""

    context_size: int = struct.field(pytree_node=False, default=0)
    attention_modulation: str = struct.field(pytree_node=False, default="none")
    attention_modulated: tuple[str, ...] = struct.field(pytree_node=False, default=())
    mlp_modulation: str = struct.field(pytree_node=False, default="none")
    conditional_layer_norm: str = struct.field(pytree_node=False, default="none")


class Modulation(struct.PyTreeNode):
    """The projected context for cAtt and cMLP at some pixels. It is empty or None if the layer is unconditional."""

    attention: dict[str, jax.Array] = struct.field(default_factory=dict)
    mlp: jax.Array | None = None


class NormModulation(struct.PyTreeNode):
    """The projected context for a layer's two conditional layer norms, [B,1,1,2D]. It is None for plain layer norms."""

    attention: jax.Array | None = None
    mlp: jax.Array | None = None


class AxialLayer(nnx.Module):
    """A layer that computes x = LN(x + attention(x)), then x = LN(x + MLP(x)). Each part may be conditional."""

    def __init__(
        self,
        *,
        height: int,
        width: int,
        hidden_size: int,
        num_heads: int,
        ff_size: int,
        along_columns: bool,
        masked: bool,
        conditioning: Conditioning,
        init: Initializer,
    ):
        self.mlp_modulation = conditioning.mlp_modulation
        self.rematerialized = False
        self.attention = AxialAttention(
            hidden_size=hidden_size,
            num_heads=num_heads,
            length=height if along_columns else width,
            along_columns=along_columns,
            masked=masked,
            context_size=conditioning.context_size,
            modulation=conditioning.attention_modulation,
            modulated=conditioning.attention_modulated,
            init=init,
        )
        self.mlp_hidden = Dense(hidden_size, ff_size, init=init)
        self.mlp_output = Dense(ff_size, hidden_size, init=init)
        size = modulation_size(self.mlp_modulation, hidden_size)
        modulated = self.mlp_modulation != "none"
        self.mlp_context = Dense(conditioning.context_size, size, init=init) if modulated else None
        kind = conditioning.conditional_layer_norm
        self.attention_norm = _layer_norm(kind, height, width, hidden_size, init)
        self.mlp_norm = _layer_norm(kind, height, width, hidden_size, init)

    def project_context(self, context: jax.Array) -> Modulation:
        """Projects a context [B,h,w,C] of any rows and columns to the modulations of cAtt and cMLP."""
        mlp = None if self.mlp_context is None else self.mlp_context(context)
        return Modulation(attention=self.attention.project_context(context), mlp=mlp)

    def project_norms(self, context: jax.Array, *, row_alone: bool = False) -> NormModulation:
        """Projects a context to cLN's modulations: an image's [B,H,W,D], or with `row_alone` one row's [B,1,W,D]."""
        first, second = self.attention_norm, self.mlp_norm
        if isinstance(first, LayerNorm) or isinstance(second, LayerNorm):
            return NormModulation()
        if row_alone:
            return NormModulation(attention=first.project_row(context), mlp=second.project_row(context))
        return NormModulation(attention=first.project(context), mlp=second.project(context))

    def __call__(self, x_BHWD: jax.Array, modulation: Modulation, norms: NormModulation) -> jax.Array:
        """Applies the layer to whole rows or columns, [B,H,W,D] -> [B,H,W,D]. A row layer takes any number of rows."""
        attended = self.attention(x_BHWD, modulation.attention)
        return self._finish(x_BHWD, attended, modulation, norms)

    def over(self, x_BHWD: jax.Array, modulating_BHWC: jax.Array, pooled_BHWD: jax.Array) -> jax.Array:
        """Applies the layer to x [B,H,W,D] and returns [B,H,W,D]; it is conditioned on the other two arguments.

        cAtt and cMLP see `modulating`, [B,H,W,C]; cLN pools `pooled`, [B,H,W,D]. If `rematerialized` is set, the
        backward pass computes everything between inputs and output again instead of keeping it. That includes the
        projections, which are up to 8 times as large as x.
        """

        def run(layer: "AxialLayer", x: jax.Array, modulating: jax.Array, pooled: jax.Array) -> jax.Array:
            return layer(x, layer.project_context(modulating), layer.project_norms(pooled))

        return _run(self, run, x_BHWD, modulating_BHWC, pooled_BHWD)

    def alone(self, x_BHWD: jax.Array) -> jax.Array:
        """Applies an unconditional layer to x [B,H,W,D] and returns [B,H,W,D]; `rematerialized` works as in `over`."""
        return _run(self, lambda layer, x_BHWD: layer(x_BHWD, Modulation(), NormModulation()), x_BHWD)

    def step(
        self,
        x: jax.Array,
        index: jax.Array,
        cache: KeyValueCache,
        modulation: Modulation,
        norms: NormModulation,
        output_KND: jax.Array | None = None,
    ) -> tuple[jax.Array, KeyValueCache]:
        """Applies the layer only at position `index` of its attended axis; see AxialAttention.step.

        x is [B,1,W,D] (along columns) or [B,H,1,D] (along rows), and so is the result.
        """
        attended, cache = self.attention.step(x, index, cache, modulation.attention, output_KND)
        return self._finish(x, attended, modulation, norms), cache

    def step_window(
        self,
        x_B1PD: jax.Array,
        first: jax.Array,
        cache: KeyValueCache,
        modulation: Modulation,
        norms: NormModulation,
        output_KND: jax.Array | None = None,
    ) -> tuple[jax.Array, KeyValueCache]:
        """Applies a row layer at P neighboring pixels of a row, [B,1,P,D] -> [B,1,P,D]; see AxialAttention."""
        attended, cache = self.attention.step_window(x_B1PD, first, cache, modulation.attention, output_KND)
        return self._finish(x_B1PD, attended, modulation, norms), cache

    def _finish(self, x: jax.Array, attended: jax.Array, modulation: Modulation, norms: NormModulation) -> jax.Array:
        x = _normalize(self.attention_norm, x + attended, norms.attention)
        h = self.mlp_output(jax.nn.relu(self.mlp_hidden(x)))
        if modulation.mlp is not None:
            h = modulate(h, modulation.mlp, self.mlp_modulation, shift_first=True)
        return _normalize(self.mlp_norm, x + h, norms.mlp)


def _run(layer: AxialLayer, function: Callable[..., jax.Array], *arrays: jax.Array) -> jax.Array:
    if not layer.rematerialized:
        return function(layer, *arrays)
    graph, parameters = nnx.split(layer)
    return jax.checkpoint(lambda parameters, *arrays: function(nnx.merge(graph, parameters), *arrays))(
        parameters, *arrays
    )


def _layer_norm(kind: str, height: int, width: int, size: int, init: Initializer) -> LayerNorm | ConditionalLayerNorm:
    if kind == "none":
        return LayerNorm(size)
    return ConditionalLayerNorm(height, width, size, learned_pooling=kind == "learned", init=init)


def _normalize(norm: LayerNorm | ConditionalLayerNorm, x: jax.Array, modulation: jax.Array | None) -> jax.Array:
    if isinstance(norm, LayerNorm):
        return norm(x)
    if modulation is None:
        raise ValueError("expected the projected context of a conditional layer norm, got None")
    return norm(x, modulation)
