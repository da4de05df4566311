"""Makes random keys by identity. A sample's draws depend only on the seed, its record and its index.

They do not depend on the batch, the shard, the worker or the number of machines. So one machine and fifty machines give
the same colors.
"""

import hashlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from coltran.errors import UserError


def stable_hash(text: str) -> int:
    """Hashes a text to 0..2**32-1, the first 4 bytes of its sha256, big endian. All machines give the same value."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def sample_keys(seed: int, record_keys: Sequence[str], sample_indices: Sequence[int]) -> jax.Array:
    """Makes the random key of each sample, uint32 [B,2].

    It is fold_in(fold_in(PRNGKey(seed), stable_hash(record key)), sample index).

    Raises:
      UserError: the lists have different lengths, or a sample index is below 0.
    """
    if len(record_keys) != len(sample_indices):
        raise UserError(f"got {len(record_keys)} record keys but {len(sample_indices)} sample indices")
    if any(index < 0 for index in sample_indices):
        raise UserError(f"sample indices must be at least 0, got {min(sample_indices)}")
    hashes_B = np.array([stable_hash(key) for key in record_keys], np.uint32)
    return _fold(jax.random.PRNGKey(seed), hashes_B, np.array(sample_indices, np.uint32))


@jax.jit
def _fold(key: jax.Array, hashes_B: jax.Array, indices_B: jax.Array) -> jax.Array:
    fold = jax.vmap(lambda h, i: jax.random.fold_in(jax.random.fold_in(key, h), i))
    return fold(hashes_B, indices_B)


def row_keys(keys_B2: jax.Array, first_pixel: jax.Array, width: int) -> jax.Array:
    """Makes each sample's keys for all pixels of a row: uint32 [B,W,2], equal to `pixel_keys` at each of them."""
    pixels_W = first_pixel + jnp.arange(width)
    return jax.vmap(pixel_keys, in_axes=(None, 0), out_axes=1)(keys_B2, pixels_W)


def pixel_keys(keys_B2: jax.Array, pixel: jax.Array) -> jax.Array:
    """Makes each sample's key for one pixel, given by its index in raster order: uint32 [B,2]."""
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys_B2, pixel.astype(jnp.uint32))
