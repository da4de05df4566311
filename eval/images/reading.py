"""Reads the pixels of one chunk of a folder. A chunk is a shard of records, or some other images."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.images import decoding
from coltran.records import schema
from eval.images import color_figures
from eval.images.lossless_files import image_path
from eval.images.sample_dumps import DUMP_KIND, read_dump
from eval.images.sources import Source, to_rgb


def read_chunk(source: Source, index: int, names: Collection[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """Reads the wanted images of one chunk.

    Args:
      source: the source. Its list of chunks may be empty.
      index: index of the chunk.
      names: names of the wanted images.

    Returns:
      (name, uint8 [h, w, 3], diversity of its samples or NaN) of each image.
    """
    if names:
        if source.kind == DUMP_KIND:
            yield from read_dump(source, names)
        elif source.folder is None:
            yield from read_files(source, names)
        else:
            yield from read_records(source, index, names)


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


def read_files(source: Source, names: Collection[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yields (name, uint8 [h, w, 3], NaN) for each image file.

    Raises:
      UserError: a file is damaged or has another size.
    """
    for name in sorted(names):
        path = image_path(source, name)
        try:
            image = decoding.decode(storage.read_bytes(path), min_side=1, over_white=source.alpha != "drop")
        except decoding.ImageRejected as error:
            raise UserError(f"{path}: {error}") from error
        if image.rgb.shape[:2] != source.size:
            raise UserError(f"{path}: the file changed; run again with folders that nobody writes to")
        yield name, image.rgb, np.nan
