"""Opens, checks and lists the sources of images to score, which are record folders and folders of PNGs.

All of this happens before a job starts.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.images import colors
from coltran.records import folder as record_folder, schema
from coltran.records.folder import RecordFolder, Shard
from coltran.walking import walk

COLOR = {"hi": schema.RGB_HI, "lo": schema.RGB_LO, "coarse": schema.COARSE_LO}
GRAY = {"hi": schema.GRAY_HI, "lo": schema.GRAY_LO, "coarse": schema.GRAY_LO}
IMAGES = tuple(COLOR)
PNG_KIND = "PNG files"
_LOSSY = (".jpg", ".jpeg", ".webp")
_READERS = 8
_PNGS_A_CHUNK = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One folder of images of one size.

    Attributes:
      path: the path as the user wrote it.
      kind: `truth records`, `colorized records` or `PNG files`.
      size: (height, width) of every image.
      fingerprint: the fingerprint of the record folder, or a sha256 over names and contents of the PNG files.
      chunks: one entry for each shard, or for some PNG files that are read together. An entry holds the names of its
        images: record keys, or file names, which no spelling of the folder's path changes. The files of several folders
        have a short fingerprint of their folder before their names.
      folder: the record folder; None for PNG files.
      feature: which pixels of the records to read; None for PNG files.
      index_feature, index: which one of the records of an image counts. It is crop 0 in truth records, and the sample
        that was asked for in colorized records.
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

    @property
    def names(self) -> list[str]:
        """The names of all images in the folder's order."""
        return [name for chunk in self.chunks for name in chunk]

    @property
    def holds_truth(self) -> bool:
        """Whether the images are truth records. Only these can be halved and made gray."""
        return self.folder is not None and self.folder.schema is schema.TRUTH

    @property
    def made_with(self) -> Mapping[str, Any]:
        """The options that made the record folder, from its manifest; empty for PNG files."""
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


def open_pngs(path: str) -> Source:
    """Opens a folder of PNG files.

    Raises:
      UserError: the folder also holds lossy images, or its first PNG is damaged.
    """
    listing = walk(path).files
    lossy = [name for name, _ in listing if name.lower().endswith(_LOSSY)]
    if lossy:
        raise UserError(
            f"{path} holds {len(lossy)} lossy images ({lossy[0]}): compression changes FID; save PNGs instead"
        )
    names = [name for name, _ in listing if name.lower().endswith(".png")]
    files = [storage.join(path, name) for name in names]
    return Source(
        path=path,
        kind=PNG_KIND,
        size=_png_size(files[0]),
        fingerprint=_digest(names, files),
        chunks=tuple(tuple(names[start : start + _PNGS_A_CHUNK]) for start in range(0, len(names), _PNGS_A_CHUNK)),
    )


def told_apart(pngs: Sequence[Source]) -> tuple[Source, ...]:
    """Returns the PNG folders of one set. If there are several, their files get names by content of the folder too."""
    if len(pngs) == 1:
        return tuple(pngs)

    def named(source: Source) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(f"{source.fingerprint[:8]}/{name}" for name in chunk) for chunk in source.chunks)

    return tuple(dataclasses.replace(source, chunks=named(source)) for source in pngs)


def png_path(source: Source, name: str) -> str:
    """Returns the path of an image of a PNG folder."""
    return storage.join(source.path, name.rpartition("/")[2])


def is_png_folder(path: str) -> bool:
    """Says whether a folder holds images but no records."""
    if not storage.is_folder(path):
        return False
    names = [name for name, _ in walk(path).files]
    is_records = any(name in (record_folder.COMPLETED, record_folder.MANIFEST) or "/" in name for name in names)
    return not is_records and any(name.lower().endswith((".png", *_LOSSY)) for name in names)


def check_together(sources: Sequence[Source]) -> None:
    """Raises a UserError if folders cannot form one set: kinds or sizes differ, or two folders hold the same key."""
    paths = ", ".join(source.path for source in sources)
    kinds, sizes = {source.kind for source in sources}, {source.size for source in sources}
    if len(kinds) > 1 or len(sizes) > 1:
        what = " and ".join(sorted(kinds)) if len(kinds) > 1 else "images of " + _sides(sizes)
        raise UserError(f"{paths}: {what} in one set; give folders of one kind and size")
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
    with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
        return tuple(readers.map(read, folder.manifest.shards))


def _digest(names: Sequence[str], files: Sequence[str]) -> str:
    with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
        contents = readers.map(lambda path: hashlib.sha256(storage.read_bytes(path)).hexdigest(), files)
        listing = [f"{name} {content}" for name, content in zip(names, contents, strict=True)]
    return hashlib.sha256("\n".join(listing).encode("utf-8", "surrogatepass")).hexdigest()


def _png_size(path: str) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        width, height = Image.open(io.BytesIO(storage.read_bytes(path))).size
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{path}: not a readable PNG ({error})") from error
    return height, width


def _sides(sizes: Iterable[tuple[int, int]]) -> str:
    return " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
