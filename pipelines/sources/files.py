"""Finds out what a source is: image files, or zips, tars, TFRecords or Parquet files that hold images."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tarfile
import zipfile
from typing import Any

from coltran import storage
from coltran.errors import UserError
from coltran.file_patterns import IMAGE_SUFFIXES, is_pattern, list_matching
from coltran.records import folder as record_folder, framing
from pipelines.sources import names as image_names
from pipelines.sources.image_ref import ImageRef
from pipelines.sources.labels import UNKNOWN

# If a folder holds several kinds, we look for them in this order.
_NAMES = {
    "images": re.compile(rf"({'|'.join(map(re.escape, IMAGE_SUFFIXES))})$", re.IGNORECASE),
    "tfrecord": re.compile(r"tfrecord|-\d{5}-of-\d{5}$"),
    "parquet": re.compile(r"\.parquet$"),
    "tar": re.compile(r"\.tar$"),
    "zip": re.compile(r"\.zip$"),
}
KINDS = tuple(_NAMES)
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstandard
EXPECTED = (
    "expected a folder of images, Kaggle's zip, the official tar (not compressed), TFRecords of TFDS or of the "
    "ImageNet scripts, or Hugging Face's Parquet files"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """A file that is an image or holds images.

    Attributes:
      name: path within the source.
      path: path to open it.
      size: size in bytes.
      offset: where an inner tar begins in the file, if a tar lies within a tar.
      folder: name of that inner tar without suffix, with a '/' at its end, or empty.
      alone: whether it is the whole source, so that its images' names do not need its own name in front.
    """

    name: str
    path: str
    size: int
    offset: int = 0
    folder: str = ""
    alone: bool = False

    def image(self, member: str, *, size: int, place: tuple[Any, ...], label: int = UNKNOWN) -> ImageRef:
        """Makes the reference to an image with the name `member` in this file. `ImageRef` explains the arguments."""
        inner = self.folder + member
        return ImageRef(
            key=image_names.with_split(inner, image_names.split_of_file(self.name)),
            label=label,
            name=inner if self.alone else f"{self.name}:{inner}",
            path=self.path,
            size=size,
            place=place,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceFiles:
    """The files of a source. All are of one kind of `KINDS`. It also counts the other files, which are ignored."""

    kind: str
    files: tuple[SourceFile, ...]
    ignored: int


def find_files(source: str, kind: str | None = None) -> SourceFiles:
    """Finds the files of a source and its kind.

    Args:
      source: a folder (searched recursively), a file, or a pattern such as `photos/**/*.jpg`, local or gs://.
      kind: one of `KINDS`; by default it is guessed.
    Raises:
      UserError: nothing is there, or nothing of a known kind.
    """
    if not is_pattern(source) and not storage.is_folder(source):
        if not storage.exists(source):
            raise UserError(f"{source}: no such file or folder; {EXPECTED}")
        name = source.rpartition("/")[2]
        file = SourceFile(name=name, path=source, size=storage.size(source), alone=True)
        return SourceFiles(kind=kind or _kind_of_file(source), files=(file,), ignored=0)
    folder, listed = list_matching(source)
    names = {name for name, _ in listed}
    if {record_folder.COMPLETED, record_folder.MANIFEST} <= names:
        raise UserError(f"{source}: holds records that were made already, no images; {EXPECTED}")
    kind = kind or next((kind for kind in KINDS if any(_NAMES[kind].search(name) for name in names)), "images")
    files = tuple(
        SourceFile(name=name, path=storage.join(folder, name), size=size)
        for name, size in listed
        if _NAMES[kind].search(name) and "__MACOSX/" not in name
    )
    return SourceFiles(kind=kind, files=files, ignored=len(listed) - len(files))


def _kind_of_file(path: str) -> str:
    """Finds a file's kind by its first bytes, whatever its name is."""
    if path.lower().endswith(IMAGE_SUFFIXES):
        return "images"
    with storage.open_read(path) as file:
        start = file.read(16)
        if start.startswith(b"PAR1"):
            return "parquet"
        if framing.is_header(start):
            return "tfrecord"
        if zipfile.is_zipfile(file):
            return "zip"
        file.seek(0)
        with contextlib.suppress(tarfile.TarError):
            tarfile.open(fileobj=file, mode="r:").close()
            return "tar"
    if start.startswith(_COMPRESSED):
        raise UserError(f"{path}: is compressed, so that its images cannot be reached one by one; unpack it first")
    raise UserError(f"{path}: {EXPECTED}; this is none of them, or damaged")
