"""Axial self-attention with a learned relative bias along the rows or columns of an image (paper, sections 3 and 4).

coltran/networks/layers.py explains the shape suffixes. Here L is the attended axis and O is the other axis. Keys and
values have the layout [B, O, N, L, K], so that every head's keys lie side by side. This makes attention from a cache 5
times faster on a CPU.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx, struct

from coltran.networks.conditioning import HeadModulation
from coltran.networks.initializers import Initializer

MASKED = -1e6  # added to the scores of future positions, as the release does


class KeyValueCache(struct.PyTreeNode):
    """Keys and values of the positions seen so far. They are zero at positions that are not written yet.

    X joins batch, other axis and heads in one axis. With three separate axes, XLA would update and multiply arrays of
    different shapes, so it would keep two arrays and copy both completely at every pixel.
    """

    key_XLK: jax.Array
    value_XLK: jax.Array


class AxialAttention(nnx.Module):
    """Multi-head attention in which every row (or column) attends only to itself.

    Attributes:
      along_columns: False attends along W within each row, True attends along H within each column.
      masked: whether a position sees only itself and earlier positions.
      length: number of pixels of the attended axis.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        num_heads: int,
        length: int,
        along_columns: bool,
        masked: bool,
        context_size: int,
        modulation: str,
        modulated: tuple[str, ...],
        init: Initializer,
    ):
        head_size = hidden_size // num_heads
        self.length, self.along_columns, self.masked = length, along_columns, masked
        fans = {"fan_in": hidden_size, "fan_out": hidden_size}
        self.query = nnx.Param(init.glorot((hidden_size, num_heads, head_size), **fans))
        self.key = nnx.Param(init.glorot((hidden_size, num_heads, head_size), **fans))
        self.value = nnx.Param(init.glorot((hidden_size, num_heads, head_size), **fans))
        self.output = nnx.Param(init.glorot((num_heads, head_size, hidden_size), **fans))
        self.relative_bias = nnx.Param(jnp.zeros((num_heads, 2 * length), jnp.float32))
        names = modulated if modulation != "none" else ()
        self.modulations = nnx.Dict(
            {name: HeadModulation(context_size, num_heads, head_size, modulation, init=init) for name in names}
        )

    def project_context(self, context: jax.Array) -> dict[str, jax.Array]:
        """Projects a context [..., C] to modulations [..., N, M] of query, key and value (empty if unconditional)."""
        return {name: module.project(context) for name, module in self.modulations.items()}

    def __call__(self, x_BHWD: jax.Array, modulation: dict[str, jax.Array]) -> jax.Array:
        """Attends over the whole axis, [B,H,W,D] -> [B,H,W,D]."""
        query, key, value = self._project(x_BHWD, modulation)
        bias_NLL = self._bias()
        return self._merge_heads(_attend(query, key, value, bias_NLL))

    def empty_cache(self, batch: int, other: int, dtype: jnp.dtype) -> KeyValueCache:
        """Makes an empty cache for `batch` images whose unattended axis has `other` pixels; `dtype` is its dtype."""
        num_heads, head_size, _ = self.output.shape
        zeros_XLK = jnp.zeros((batch * other * num_heads, self.length, head_size), dtype)
        return KeyValueCache(key_XLK=zeros_XLK, value_XLK=zeros_XLK)

    def output_kernel(self, dtype: jnp.dtype) -> jax.Array:
        """Returns the output projection as [K,N,D], in the order in which `_merge_heads` sums: features, then heads.

        A loop over pixels takes it ready-made. Otherwise, XLA copies the whole kernel into this order at every pixel.
        """
        return jnp.transpose(self.output[...], (1, 0, 2)).astype(dtype)

    def step(
        self,
        x: jax.Array,
        index: jax.Array,
        cache: KeyValueCache,
        modulation: dict[str, jax.Array],
        output_KND: jax.Array | None = None,
    ) -> tuple[jax.Array, KeyValueCache]:
        """Computes masked attention only for the position `index`, and adds that position to the cache.

        x is [B,1,W,D] (along columns) or [B,H,1,D] (along rows), so it is one pixel long along the attended axis.
        `output_KND` is what `output_kernel` returned, or None.
        """
        query, key, value = self._project(x, modulation)
        batch, other, num_heads, _, head_size = query.shape
        update = jax.lax.dynamic_update_slice_in_dim
        cache = KeyValueCache(
            key_XLK=update(cache.key_XLK, key.reshape(-1, 1, head_size), index, axis=1),
            value_XLK=update(cache.value_XLK, value.reshape(-1, 1, head_size), index, axis=1),
        )
        bias_XL = jnp.tile(self._bias_of(index), (batch * other, 1))
        heads_XK = _attend_once(query.reshape(-1, head_size), cache, bias_XL)
        return self._merge_heads(heads_XK.reshape(batch, other, num_heads, 1, head_size), output_KND), cache

    def step_window(
        self,
        x_B1PD: jax.Array,
        first: jax.Array,
        cache: KeyValueCache,
        modulation: dict[str, jax.Array],
        output_KND: jax.Array | None = None,
    ) -> tuple[jax.Array, KeyValueCache]:
        """Does what `step` does along a single row, for P neighboring positions at once, and adds them to the cache.

        Args:
          x_B1PD: the positions' inputs.
          first: int32, the first of the P positions, at most `length` - P.
          cache: holds what came before. What it holds from the first position on is replaced, or masked.
          modulation: the positions' modulations [B,1,P,N,M].
          output_KND: what `output_kernel` returned, or None.
        """
        query, key, value = self._project(x_B1PD, modulation)  # [B,1,N,P,K]
        batch, _, num_heads, window, head_size = query.shape
        update = jax.lax.dynamic_update_slice_in_dim
        cache = KeyValueCache(
            key_XLK=update(cache.key_XLK, key.reshape(-1, window, head_size), first, axis=1),
            value_XLK=update(cache.value_XLK, value.reshape(-1, window, head_size), first, axis=1),
        )
        bias_NPL = jax.lax.dynamic_slice_in_dim(self._bias(), first, window, axis=1)
        shape_B1NLK = (batch, 1, num_heads, self.length, head_size)
        heads = _attend(query, cache.key_XLK.reshape(shape_B1NLK), cache.value_XLK.reshape(shape_B1NLK), bias_NPL)
        return self._merge_heads(heads, output_KND), cache

    def _project(self, x_BHWD: jax.Array, modulation: dict[str, jax.Array]) -> list[jax.Array]:
        """Computes query (scaled), key and value as [B,O,N,L,K]."""
        projected = []
        for name in ("query", "key", "value"):
            z = jnp.einsum("bhwd,dnk->bhwnk", x_BHWD, getattr(self, name)[...].astype(x_BHWD.dtype))
            if name in modulation:
                z = self.modulations[name].apply(z, modulation[name])
            if name == "query":  # scaled after conditioning, as the release does
                z = z / math.sqrt(z.shape[-1])
            projected.append(jnp.transpose(z, (0, 2, 3, 1, 4) if self.along_columns else (0, 1, 3, 2, 4)))
        return projected

    def _merge_heads(self, heads_BONLK: jax.Array, output_KND: jax.Array | None = None) -> jax.Array:
        heads = jnp.transpose(heads_BONLK, (0, 3, 1, 2, 4) if self.along_columns else (0, 1, 3, 2, 4))
        kernel_KND = self.output_kernel(heads.dtype) if output_KND is None else output_KND
        return jnp.einsum("bhwnk,knd->bhwd", heads, kernel_KND)

    def _bias(self) -> jax.Array:
        """Computes the relative bias of every pair, [N,L,L] with the query first. A masked layer adds the mask."""
        position = jnp.arange(self.length)
        offset_LL = position[None, :] - position[:, None]
        bias_NLL = self.relative_bias[...][:, offset_LL + self.length - 1]
        if not self.masked:
            return bias_NLL
        return bias_NLL + jnp.where(offset_LL > 0, MASKED, 0.0)[None]

    def _bias_of(self, index: jax.Array) -> jax.Array:
        """Computes the row `index` of `_bias` with the mask, [N,L]."""
        start = self.length - 1 - index
        bias_NL = jax.lax.dynamic_slice_in_dim(self.relative_bias[...], start, self.length, axis=1)
        mask_L = jnp.where(jnp.arange(self.length) > index, MASKED, 0.0)
        return bias_NL + mask_L[None]


def _attend(query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array) -> jax.Array:
    """Computes softmax(q k^T + bias) v over axis four: [B,O,N,Q,K], [B,O,N,L,K] twice, [N,Q,L] -> [B,O,N,Q,K]."""
    scores = (
        jnp.einsum("bonqk,bonlk->bonql", query, key, preferred_element_type=_precise_dtype(query)) + bias[None, None]
    )
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bonql,bonlk->bonqk", weights, value)


def _attend_once(query_XK: jax.Array, cache: KeyValueCache, bias_XL: jax.Array) -> jax.Array:
    """Does what `_attend` does, for one query [X,K] each and with a cache. Returns [X,K]."""
    scores_XL = (
        jnp.einsum("xk,xlk->xl", query_XK, cache.key_XLK, preferred_element_type=_precise_dtype(query_XK)) + bias_XL
    )
    weights_XL = jax.nn.softmax(scores_XL, axis=-1).astype(cache.value_XLK.dtype)
    return jnp.einsum("xl,xlk->xk", weights_XL, cache.value_XLK)


def _precise_dtype(x: jax.Array) -> jnp.dtype:
    """Returns the dtype for scores and softmax, which is float32, or float64 if `x` is float64."""
    return jnp.promote_types(x.dtype, jnp.float32)
