"""Selects the indexed images for a job. No key comes twice, the holdout stays apart from train, and a limit may apply.

The paper holds 10,000 training images out for tuning and ablations (section 5.1). Here these are the images with the
smallest hashes of (seed, key), so that neither the order of files nor the kind of source matters. The public release
instead used the order of its files, so nobody can repeat its choice without those files.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from coltran.errors import UserError
from coltran.records import partition
from pipelines.sources.image_ref import ImageRef

HOLDOUT = "holdout"
HELD_OUT, TO_TRAIN, BEYOND_LIMIT = "held out", "left to train", "beyond --limit"  # why images are passed over
PAPER_HOLDOUT = 10_000
LARGE = 50_000  # with at least so many training images, the paper's holdout is kept apart by default


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """The images that a job turns into records.

    Attributes:
      images: in the order of their hashes.
      duplicates: images with the same key as one of `images`; they become rejects.
      held_out: how many training images are left for the split `holdout`.
      passed_over: the number of the other images, by reason.
    """

    images: tuple[ImageRef, ...]
    duplicates: tuple[ImageRef, ...]
    held_out: int
    passed_over: Mapping[str, int]


def select(found: Sequence[ImageRef], *, split: str, holdout: int | None, limit: int | None, seed: int) -> Selection:
    """Chooses the images of a split that a job turns into records.

    Args:
      found: all images of the source's split; for `holdout`, the images of train.
      split: `train`, `holdout` or `validation`.
      holdout: how many training images to hold out; None means 10,000 if there are 50,000 or more, and else 0.
      limit: how many images to take, the first by hash; None for all.
      seed: the seed of the hashes; train and holdout are disjoint only with the same seed.
    Raises:
      UserError: the holdout is empty or leaves nothing to train on.
    """
    by_key: dict[str, ImageRef] = {}
    duplicates = [ref for ref in found if by_key.setdefault(ref.key, ref) is not ref]
    order = partition.shuffled(by_key, seed)
    held_out = 0 if split == "validation" else _holdout_size(len(order), split, holdout)
    part, rest = order[held_out:], order[:held_out]
    if split == HOLDOUT:
        part, rest = rest, part
    copies = collections.Counter(ref.key for ref in duplicates)
    taken = {key for key in part[:limit] if key in copies}  # A set of all keys would take 100 MB for ImageNet.
    beyond = part[limit:] if limit is not None else []
    passed_over = {
        BEYOND_LIMIT: _entries(beyond, copies),
        TO_TRAIN if split == HOLDOUT else HELD_OUT: _entries(rest, copies),
    }
    return Selection(
        images=tuple(by_key[key] for key in part[:limit]),
        duplicates=tuple(ref for ref in duplicates if ref.key in taken),
        held_out=held_out,
        passed_over={reason: number for reason, number in passed_over.items() if number},
    )


def _entries(keys: Sequence[str], copies: Mapping[str, int]) -> int:
    """Counts the images with these keys, which are more than the keys if some have the same one."""
    return len(keys) + sum(copies.get(key, 0) for key in keys)


def _holdout_size(found: int, split: str, holdout: int | None) -> int:
    size = holdout if holdout is not None else PAPER_HOLDOUT if found >= LARGE else 0
    if split == HOLDOUT and not size:
        raise UserError(f"--split holdout: there are only {found} training images; say how many with --holdout N")
    if size >= found:
        raise UserError(f"--holdout {size}: there are only {found} training images, so none would be left to train on")
    return size
