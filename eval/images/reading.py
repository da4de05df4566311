"""The pixels of a part of a set: records of a shard, or PNG files."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.images import decoding
from coltran.records import schema
from eval.images import color_figures
from eval.images.sources import Source, to_rgb


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """What a worker does at once.

    Attributes:
      source: the folder, without its list of parts.
      index: of the part.
      path: where its features are kept.
      memberships: name of an image -> the (set's identity, tenth) pairs that it counts in.
    """

    source: Source
    index: int
    path: str
    memberships: Mapping[str, tuple[tuple[str, int], ...]]


def read_part(part: Part, names: set[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """(name, uint8 [h, w, 3], diversity of its samples or NaN) of a part's images of these names."""
    if names:
        yield from read_pngs(part.source, names) if part.source.folder is None else read_records(part, names)


def read_records(part: Part, names: set[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """(key, uint8 [h, w, 3], diversity of its samples or NaN) of a shard's chosen records, in file order."""
    source = part.source
    rows = source.folder.read_shard(
        source.folder.manifest.shards[part.index], [schema.KEY, source.index_feature, source.feature]
    )
    for key, same_key in itertools.groupby(rows, lambda values: values[schema.KEY]):
        if key not in names:
            continue
        found = {values[source.index_feature]: to_rgb(values[source.feature], source.feature) for values in same_key}
        if source.index not in found:
            continue
        several = source.index_feature == schema.SAMPLE and len(found) > 1
        yield key, found[source.index], color_figures.diversity(list(found.values())) if several else np.nan


def read_pngs(source: Source, names: set[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """(path, uint8 [h, w, 3], NaN) of PNG files. Raises UserError for one that is damaged or of another size."""
    for path in sorted(names):
        yield path, read_png(path, source.size), np.nan


def read_png(path: str, size: tuple[int, int]) -> np.ndarray:
    """A PNG as uint8 [height, width, 3]. Raises UserError if it is damaged or not of `size` (height, width)."""
    try:
        pixels = decoding.decode(storage.read_bytes(path), min_side=1).rgb
    except decoding.ImageRejected as error:
        raise UserError(f"{path}: {error}") from error
    if pixels.shape[:2] != size:
        raise UserError(
            f"{path} has {pixels.shape[1]}x{pixels.shape[0]} pixels, others of the set {size[1]}x{size[0]}; "
            "give images of one size"
        )
    return pixels
