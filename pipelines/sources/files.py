"""Finds out what a source is: image files, or zips, tars, TFRecords or Parquet files that hold images."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from coltran import storage
from coltran.errors import UserError
from coltran.file_patterns import is_pattern, list_matching
from coltran.images.formats import has_image_suffix
from coltran.records import folder as record_folder, framing
from coltran.walking import reason_to_pass_over, suffix_reason
from pipelines.sources import names as image_names
from pipelines.sources.image_ref import REFUSED, ImageRef, PassedOver
from pipelines.sources.labels import UNKNOWN

# If a folder holds several kinds, we look for them in this order. Index and checksum files lie beside shards
# (`x.tfrecord-00000-of-00001.idx`); compressed ones are taken, so that the error can name them.
_PACKED = r"(\.(gz|bz2|xz|zst|zlib))?$"
_TFRECORD = r"(\.tfrec(ord)?s?|tfrecord(?![\w.-]*(idx|index|md5|sha\d*))[\w-]*|(?<!\d)-\d{5,}-of-\d{5,})"
_NAMES: Mapping[str, Callable[[str], object]] = {
    "images": has_image_suffix,
    "tfrecord": re.compile(f"{_TFRECORD}{_PACKED}").search,
    "parquet": re.compile(r"\.parquet$").search,
    "tar": re.compile(r"\.tar$", re.IGNORECASE).search,
    "zip": re.compile(r"\.zip$", re.IGNORECASE).search,
}
KINDS = tuple(_NAMES)
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"7z\xbc\xaf": "7-zip",
    b"Rar!": "RAR",
}
_NUMBERED = re.compile(r"^(.*?)[-_.]?(\d{2,})[-_]of[-_](\d{2,})")
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
      size: size in bytes; of an inner tar, its own.
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

    def record(self, name: object, number: int, *, size: int, place: tuple[Any, ...], label: int) -> ImageRef:
        """Makes the reference to the image of a record, which is one whatever its name, also without a name.

        Args:
          name: what the record says, bytes, text or anything else.
          number: the record's number in this file, for its name if it says none.
          size, place, label: as in `ImageRef`.
        """
        text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
        member = image_names.plain_path(text) if isinstance(text, str) else ""
        if not member:
            member = f"{self.name.rpartition('/')[2].removesuffix('.parquet')}-{number:06d}.JPEG"
        elif not has_image_suffix(member):
            member += ".JPEG"
        return self.image(member, size=size, place=place, label=label)

    def entry(
        self, member: str, *, size: int, place: tuple[Any, ...], refusal: str | None = None
    ) -> ImageRef | PassedOver:
        """Makes the reference to an archive's entry, or says why it is passed over.

        Args:
          member: the entry's name as the archive has it.
          size, place: as in `ImageRef`.
          refusal: why the entry cannot be read, if it is an image.
        """
        name = image_names.plain_path(member)
        reason = reason_to_pass_over(name)
        if reason is not None:
            return PassedOver(reason)
        if not has_image_suffix(name):
            return PassedOver(suffix_reason(name))
        if image_names.leads_out(member):
            return self.image(name, size=size, place=(REFUSED, "unsafe_name", "its name leads out of the archive"))
        if refusal is not None:
            return self.image(name, size=size, place=(REFUSED, "unsupported_entry", refusal))
        return self.image(name, size=size, place=place)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceFiles:
    """The files of a source. All are of one kind of `KINDS`. It also counts by reason what is passed over."""

    kind: str
    files: tuple[SourceFile, ...]
    passed_over: Mapping[str, int]


def find_files(source: str, kind: str | None = None, *, skip_unreadable: bool = False) -> SourceFiles:
    """Finds the files of a source and its kind.

    Args:
      source: a folder (searched recursively), a file, or a pattern such as `photos/**/*.jpg`, local or gs://.
      kind: one of `KINDS`; by default it is guessed.
      skip_unreadable: whether to count folders that cannot be read, instead of raising an error.
    Raises:
      UserError: nothing is there, or nothing of a known kind.
    """
    if not is_pattern(source) and not storage.is_folder(source):
        if not storage.exists(source):
            raise UserError(f"{source}: no such file or folder; {EXPECTED}")
        name = source.rpartition("/")[2]
        file = SourceFile(name=name, path=source, size=storage.size(source), alone=True)
        return SourceFiles(kind=kind or _kind_of_file(source), files=(file,), passed_over={})
    folder, walk = list_matching(source, takes=_is_of_a_kind, skip_unreadable=skip_unreadable)
    names = {name for name, _ in walk.files}
    if {record_folder.COMPLETED, record_folder.MANIFEST} <= names:
        raise UserError(f"{source}: holds records that were made already, no images; {EXPECTED}")
    kind = kind or next((kind for kind in KINDS if any(_NAMES[kind](_base(name)) for name in names)), "images")
    passed_over = collections.Counter(walk.passed_over)
    files = []
    for name, size in walk.files:
        if _NAMES[kind](_base(name)):
            files.append(SourceFile(name=name, path=storage.join(folder, name), size=size))
        else:
            passed_over[suffix_reason(name)] += 1
    return SourceFiles(kind=kind, files=tuple(files), passed_over=dict(passed_over))


def missing_shards(files: Iterable[SourceFile]) -> list[str]:
    """Lists what is missing in numbered sets of files, such as `train.tfrecord-00001-of-00003`.

    A set is counted from 0, or from 1 if its last number is their count.
    """
    found: dict[tuple[str, str], set[int]] = {}
    for file in files:
        if match := _NUMBERED.match(_base(file.name)):
            folder = file.name.rpartition("/")[0]
            found.setdefault((f"{folder}/{match[1]}".lstrip("/"), match[3]), set()).add(int(match[2]))
    missing = []
    for (name, count), numbers in sorted(found.items()):
        first = 1 if int(count) in numbers and 0 not in numbers else 0
        lacking = sorted(set(range(first, first + int(count))) - numbers)
        missing += [f"{name}-{number:0{len(count)}d}-of-{count}" for number in lacking]
    return missing


def refuse_compressed(start: bytes, path: str) -> None:
    """Raises UserError if `start`, the first bytes of a file, says that all of it is compressed."""
    packing = next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), None)
    if packing is None and start[:2] in (b"\x78\x9c", b"\x78\x01", b"\x78\xda") and not framing.is_header(start):
        packing = "zlib"
    if packing is not None:
        raise UserError(
            f"{path}: is compressed ({packing}), so that its images cannot be reached one by one; unpack it first"
        )


def _is_of_a_kind(name: str) -> bool:
    return any(is_one(_base(name)) for is_one in _NAMES.values())


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _kind_of_file(path: str) -> str:
    """Finds a file's kind by its first bytes, whatever its name is."""
    if has_image_suffix(path):
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
        with contextlib.suppress(tarfile.TarError, ValueError, OverflowError, IndexError, EOFError):
            tarfile.open(fileobj=file, mode="r:").close()
            return "tar"
    refuse_compressed(start, path)
    raise UserError(f"{path}: {EXPECTED}; this is none of them, or damaged")
