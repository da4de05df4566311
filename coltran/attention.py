"""Axial self-attention with a learned relative bias, along rows or along columns of an image (paper, sections 3 and 4).

Shape suffixes: see coltran/layers.py. Arrays inside are laid out [B, O, L, N, K]: L is the attended axis, O the other.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx, struct

from coltran.conditioning import HeadModulation
from coltran.initializers import Initializer

MASKED = -1e6  # added to the scores of future positions, as the release does


class KeyValueCache(struct.PyTreeNode):
    """Keys and values of the positions seen so far; zeros where nothing was written yet."""

    key_BOLNK: jax.Array
    value_BOLNK: jax.Array


class AxialAttention(nnx.Module):
    """Multi-head attention in which every row (or column) attends to itself alone.

    Attributes:
        along_columns: False attends along W within each row, True along H within each column.
        masked: whether a position sees only itself and earlier ones.
        length: pixels of the attended axis.
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
        """Modulations [..., N, M] of query, key and value from a context [..., C] (empty where unconditional)."""
        return {name: module.project(context) for name, module in self.modulations.items()}

    def __call__(self, x_BHWD: jax.Array, modulation: dict[str, jax.Array]) -> jax.Array:
        """Attention over the whole axis, [B,H,W,D] -> [B,H,W,D]."""
        query, key, value = self._project(x_BHWD, modulation)
        bias_NLL = self._bias()
        return self._merge_heads(_attend(query, key, value, bias_NLL))

    def empty_cache(self, batch: int, other: int, dtype: jnp.dtype) -> KeyValueCache:
        """A cache for `batch` images whose unattended axis has `other` pixels, in the dtype of activations."""
        num_heads, head_size, _ = self.output.shape
        zeros = jnp.zeros((batch, other, self.length, num_heads, head_size), dtype)
        return KeyValueCache(key_BOLNK=zeros, value_BOLNK=zeros)

    def step(
        self, x: jax.Array, index: jax.Array, cache: KeyValueCache, modulation: dict[str, jax.Array]
    ) -> tuple[jax.Array, KeyValueCache]:
        """Masked attention of the position `index` alone, which is added to the cache.

        x is [B,1,W,D] (along columns) or [B,H,1,D] (along rows): one pixel long along the attended axis.
        """
        query, key, value = self._project(x, modulation)
        update = jax.lax.dynamic_update_slice_in_dim
        cache = KeyValueCache(
            key_BOLNK=update(cache.key_BOLNK, key, index, axis=2),
            value_BOLNK=update(cache.value_BOLNK, value, index, axis=2),
        )
        bias_N1L = self._bias_of(index)
        return self._merge_heads(_attend(query, cache.key_BOLNK, cache.value_BOLNK, bias_N1L)), cache

    def _project(self, x_BHWD: jax.Array, modulation: dict[str, jax.Array]) -> list[jax.Array]:
        """Query (scaled), key and value as [B,O,L,N,K]."""
        projected = []
        for name in ("query", "key", "value"):
            z = jnp.einsum("bhwd,dnk->bhwnk", x_BHWD, getattr(self, name)[...].astype(x_BHWD.dtype))
            if name in modulation:
                z = self.modulations[name].apply(z, modulation[name])
            if name == "query":  # scaled after conditioning, as the release does
                z = z / math.sqrt(z.shape[-1])
            projected.append(jnp.swapaxes(z, 1, 2) if self.along_columns else z)
        return projected

    def _merge_heads(self, heads_BOLNK: jax.Array) -> jax.Array:
        if self.along_columns:
            heads_BOLNK = jnp.swapaxes(heads_BOLNK, 1, 2)
        return jnp.einsum("bhwnk,nkd->bhwd", heads_BOLNK, self.output[...].astype(heads_BOLNK.dtype))

    def _bias(self) -> jax.Array:
        """Relative bias, and the mask where masked, for every pair: [N,L,L], query first."""
        position = jnp.arange(self.length)
        offset_LL = position[None, :] - position[:, None]
        bias_NLL = self.relative_bias[...][:, offset_LL + self.length - 1]
        if not self.masked:
            return bias_NLL
        return bias_NLL + jnp.where(offset_LL > 0, MASKED, 0.0)[None]

    def _bias_of(self, index: jax.Array) -> jax.Array:
        """The row `index` of `_bias`, masked: [N,1,L]."""
        start = self.length - 1 - index
        bias_NL = jax.lax.dynamic_slice_in_dim(self.relative_bias[...], start, self.length, axis=1)
        mask_L = jnp.where(jnp.arange(self.length) > index, MASKED, 0.0)
        return (bias_NL + mask_L[None])[:, None]


def _attend(query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array) -> jax.Array:
    """softmax(q k^T + bias) v over the third axis: [B,O,Q,N,K], [B,O,L,N,K] twice, [N,Q,L] -> [B,O,Q,N,K]."""
    scores = jnp.einsum("boqnk,bolnk->bonql", query, key, preferred_element_type=jnp.float32) + bias[None, None]
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bonql,bolnk->boqnk", weights, value)
