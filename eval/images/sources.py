"""Defines a source of images to score, and opens record folders.

The other sources are folders of image files (`lossless_files`) and files of sampled images (`sample_dumps`). All are
opened, checked and listed before a job starts.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from coltran.errors import UserError
from coltran.images import colors
from coltran.records import folder as record_folder, schema
from coltran.records.folder import RecordFolder, Shard

COLOR = {"hi": schema.RGB_HI, "lo": schema.RGB_LO, "coarse": schema.COARSE_LO}
GRAY = {"hi": schema.GRAY_HI, "lo": schema.GRAY_LO, "coarse": schema.GRAY_LO}
IMAGES = tuple(COLOR)
READERS = 8  # threads


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One folder, or one file, of images of one size.

    Attributes:
      path: the path as the user wrote it.
      kind: `truth records`, `colorized records`, `image files` or `images in an .npz file`.
      size: (height, width) of every image.
      fingerprint: the fingerprint of the record folder, or a sha256 over the names and contents of the images.
      chunks: one entry for each shard, or for some images that are read together. An entry holds the names of its
        images: record keys, or names of files within the folder, which no spelling of the folder's path changes.
      folder: the record folder; None for other images, which have no keys.
      feature: which pixels of the records to read; None for other images.
      index_feature, index: which one of the records of an image counts. It is crop 0 in truth records, and the sample
        that was asked for in colorized records.
      prefix: what names begin with, so that those of several folders in one set differ; empty for records.
      alpha: what becomes of pixels that are not opaque (`lossless_files.ALPHAS`); None for opaque images.
      told: what a reader of the numbers must know about the source, in words.
      passed_over: number of files in the folder that are no images.
    """

    path: str
    kind: str
    size: tuple[int, int]
    fingerprint: str
    chunks: tuple[tuple[str, ...], ...]
    folder: RecordFolder | None = None
    feature: str | None = None
    index_feature: str | None = None
    index: int = 0
    prefix: str = ""
    alpha: str | None = None
    told: tuple[str, ...] = ()
    passed_over: int = 0

    @property
    def names(self) -> list[str]:
        """The names of all images in the folder's order."""
        return [name for chunk in self.chunks for name in chunk]

    @property
    def has_keys(self) -> bool:
        """Whether the images have record keys, by which overlap is checked and halves are chosen."""
        return self.folder is not None

    @property
    def holds_truth(self) -> bool:
        """Whether the images are truth records. Only these can be halved and made gray."""
        return self.folder is not None and self.folder.schema is schema.TRUTH

    @property
    def made_with(self) -> Mapping[str, Any]:
        """The options that made the record folder, from its manifest; empty for other images."""
        return {} if self.folder is None else self.folder.manifest.options


def open_records(path: str, image: str, sample: int = 0, *, gray: bool = False) -> Source:
    """Opens a record folder. It reads the key of every record, but no pixels.

    Args:
      path: a folder of truth or colorized records.
      image: `hi`, `lo` or `coarse`: 256x256, 64x64, or 64x64 in 3-bit colors.
      sample: which sample of each image to take from colorized records.
      gray: whether to take the gray plane of truth records, as in the grayscale row of the paper's table 2.

    Raises:
      UserError: the folder is missing, unfinished or empty, or it lacks these pixels or this sample.
    """
    feature = (GRAY if gray else COLOR)[image]
    folder = record_folder.open_folder(path, needs=[feature])
    colorized = folder.schema is schema.COLORIZED
    index_feature, index = (schema.SAMPLE, sample) if colorized else (schema.CROP, 0)
    chunks = _read_keys(folder, index_feature, index)
    if colorized and sample and not any(chunks):
        raise UserError(f"{path}: no image has a sample {sample}; samples count from 0")
    height, width = folder.schema.features[feature].shape(folder.sizes)[:2]
    return Source(
        path=path,
        kind=f"{folder.manifest.schema} records",
        size=(height, width),
        fingerprint=folder.manifest.fingerprint,
        chunks=chunks,
        folder=folder,
        feature=feature,
        index_feature=index_feature,
        index=index,
    )


def told_apart(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Returns the sources without keys of one set. If there are several, their names begin with a short fingerprint."""
    if len(sources) == 1:
        return tuple(sources)

    def named(source: Source) -> Source:
        prefix = f"{source.fingerprint[:8]}/"
        chunks = tuple(tuple(prefix + name for name in chunk) for chunk in source.chunks)
        return dataclasses.replace(source, chunks=chunks, prefix=prefix)

    return tuple(map(named, sources))


def check_together(sources: Sequence[Source]) -> None:
    """Raises a UserError if sources cannot form one set, because their kinds or sizes differ."""
    paths = ", ".join(source.path for source in sources)
    kinds, sizes = {source.kind for source in sources}, {source.size for source in sources}
    if len(kinds) > 1 or len(sizes) > 1:
        what = " and ".join(sorted(kinds)) if len(kinds) > 1 else "images of " + _sides(sizes)
        raise UserError(f"{paths}: {what} in one set; give folders of one kind and size")


def check_names(sources: Sequence[Source]) -> None:
    """Raises a UserError if two sources of a set hold the same image."""
    owner: dict[str, str] = {}
    for source in sources:
        for name in set(source.names):
            if name in owner:
                raise UserError(f"{source.path} and {owner[name]} both hold '{name}'; each image may count once")
            owner[name] = source.path


def to_rgb(pixels: np.ndarray, feature: str) -> np.ndarray:
    """Returns a record's pixels as uint8 [h, w, 3].

    3-bit colors become the lowest value of their bins, and gray is repeated in all three channels.
    """
    if feature == schema.COARSE_LO:
        return colors.coarse_to_rgb(pixels)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)


def _read_keys(folder: RecordFolder, index_feature: str, index: int) -> tuple[tuple[str, ...], ...]:
    def read(shard: Shard) -> tuple[str, ...]:
        rows = folder.read_shard(shard, [schema.KEY, index_feature])
        return tuple(values[schema.KEY] for values in rows if values[index_feature] == index)

    # Threads are enough here: the time goes to disk or network and to checksums, which release the GIL.
    with concurrent.futures.ThreadPoolExecutor(READERS) as readers:
        return tuple(readers.map(read, folder.manifest.shards))


def _sides(sizes: Iterable[tuple[int, int]]) -> str:
    return " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
