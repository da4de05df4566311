"""Reads the pixels of one chunk of a folder. A chunk is a shard of records, or some PNG files."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.images import decoding
from coltran.records import schema
from eval.images import color_figures
from eval.images.sources import Source, png_path, to_rgb


def read_chunk(source: Source, index: int, names: Collection[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """Reads the wanted images of one chunk.

    Args:
      source: the folder. Its list of chunks may be empty.
      index: index of the chunk.
      names: names of the wanted images.

    Returns:
      (name, uint8 [h, w, 3], diversity of its samples or NaN) of each image.
    """
    if names:
        yield from read_pngs(source, names) if source.folder is None else read_records(source, index, names)


def read_records(source: Source, index: int, names: Collection[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yields (key, uint8 [h, w, 3], diversity of its samples or NaN) for a shard's chosen records, in file order."""
    if source.folder is None or source.feature is None or source.index_feature is None:
        raise ValueError(f"expected a folder of records, got {source.kind}")
    shard = source.folder.manifest.shards[index]
    rows = source.folder.read_shard(shard, [schema.KEY, source.index_feature, source.feature])
    for key, same_key in itertools.groupby(rows, lambda values: values[schema.KEY]):
        if key not in names:
            continue
        found = {values[source.index_feature]: to_rgb(values[source.feature], source.feature) for values in same_key}
        if source.index not in found:
            continue
        several = source.index_feature == schema.SAMPLE and len(found) > 1
        differing = color_figures.diversity(list(found.values())) if several else None
        yield key, found[source.index], np.nan if differing is None else differing


def read_pngs(source: Source, names: Collection[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yields (name, uint8 [h, w, 3], NaN) for each PNG file.

    Raises:
      UserError: a file is damaged or has another size.
    """
    for name in sorted(names):
        yield name, read_png(png_path(source, name), source.size), np.nan


def read_png(path: str, size: tuple[int, int]) -> np.ndarray:
    """Reads a PNG as uint8 [height, width, 3].

    Raises:
      UserError: the file is damaged, or its size is not `size` (height, width).
    """
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
