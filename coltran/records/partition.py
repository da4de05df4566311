"""Orders and splits a set of images by a hash of (seed, key). Machines and the order of files do not matter.

The paper measures FID between colorizations of some images and the truth of others (section 5.1). `condition` and
`truth` are the two halves of a set, so no image is ever in both. Another seed gives another partition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from coltran.errors import UserError

PARTS = ("condition", "truth")


def rank(seed: int, key: str) -> bytes:
    """Makes a pseudo-random sort key, the sha256 of seed and key, which is the same on every machine."""
    return hashlib.sha256(f"{seed}|{key}".encode("utf-8", "surrogatepass")).digest()


def shuffled(keys: Iterable[str], seed: int) -> list[str]:
    """Sorts the keys by their hashes. Equal keys stay side by side."""
    return sorted(keys, key=lambda key: (rank(seed, key), key))


def choose(keys: Iterable[str], *, seed: int, part: str | None = None, num: int | None = None) -> set[str]:
    """Chooses the keys of a part, or `num` of them.

    Args:
      keys: the keys of the whole set; duplicates (crops, samples) count once.
      seed: another seed gives another partition.
      part: `condition` for the first half by hash, `truth` for the second (larger by one for odd counts), None for all.
      num: how many to choose, the first by hash; None for all.
    Raises:
      UserError: there are fewer keys than `num`.
    """
    order = shuffled(set(keys), seed)
    half = len(order) // 2
    chosen = {None: order, PARTS[0]: order[:half], PARTS[1]: order[half:]}[part]
    if num is not None and num > len(chosen):
        where = f"part '{part}' of {len(order)} images" if part else "the folder"
        raise UserError(f"--num {num}: {where} has only {len(chosen)} images; ask for fewer, or preprocess more")
    return set(chosen[:num])
