"""Where the images are: an index of every image in a folder or in Kaggle's zip, made without reading any pixel.

The index is what is spread over the workers; the bytes of an image are read once, by the worker that writes its shard.
"""

from __future__ import annotations

import dataclasses
import struct
import zipfile
import zlib
from collections.abc import Iterable

from coltran import storage
from coltran.errors import UserError
from pipelines import imagenet_labels

SPLIT_FOLDERS = {"train": "train", "val": "validation", "validation": "validation"}
IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_KAGGLE_PREFIX = "ILSVRC/Data/CLS-LOC/"
_ZIP_HEADER = struct.Struct("<4s22xHH")  # signature, then lengths of name and extra field
_ZIP_READABLE = {zipfile.ZIP_STORED: False, zipfile.ZIP_DEFLATED: True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageRef:
    """One image's place.

    Attributes:
      key: record key, `<split>/<path within the split, without suffix>`.
      label: 0..999, or -1 where unknown.
      name: path within the source, for messages.
      path: the file that holds the bytes.
      offset: for a zip, of the member's local header; None for a file of its own.
      size: bytes to read; for a zip, the compressed ones.
      deflated: True for a compressed member of a zip.
    """

    key: str
    label: int
    name: str
    path: str
    size: int
    offset: int | None = None
    deflated: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Index:
    """All images of a split, sorted by name, and how many other files were passed over."""

    images: tuple[ImageRef, ...]
    ignored: int


def index_images(source: str, split: str) -> Index:
    """Lists the images of `split` in a folder (searched recursively) or in a .zip file, local or gs://.

    In folders named train, val or validation at the top (or below Kaggle's ILSVRC/Data/CLS-LOC), only those of the
    split are taken; images elsewhere belong to whatever split is asked for.

    Raises:
      UserError: nothing there, not a zip, or no image of that split.
    """
    if storage.is_folder(source):
        members = _folder_members(source)
    elif storage.exists(source):
        members = _zip_members(source)
    else:
        raise UserError(f"{source}: no such file or folder; expected a folder of images or Kaggle's ImageNet zip")
    images, ignored, other = [], 0, set()
    for member in sorted(members, key=lambda member: member.name):
        if not member.name.lower().endswith(IMAGE_SUFFIXES) or "__MACOSX/" in member.name:
            ignored += 1
            continue
        of_split, key = _split_and_key(member.name, split)
        if of_split == split:
            images.append(dataclasses.replace(member, key=key, label=imagenet_labels.label_of(member.name)))
        else:
            other.add(of_split)
    if not images:
        hint = f"; it has images of split {', '.join(sorted(other))}: use --split" if other else ""
        raise UserError(
            f"{source}: no images of split '{split}' (looked for {' '.join(IMAGE_SUFFIXES)} in all subfolders){hint}"
        )
    return Index(images=tuple(images), ignored=ignored)


def read_image(ref: ImageRef) -> bytes:
    """The image file's bytes. Raises UserError if its file cannot be read, ValueError if a zip member is damaged."""
    with storage.open_read(ref.path) as file:
        if ref.offset is None:
            return file.read()
        file.seek(ref.offset)
        signature, name_length, extra_length = _ZIP_HEADER.unpack(file.read(_ZIP_HEADER.size))
        if signature != b"PK\3\4":
            raise ValueError("the zip's directory points at something that is no member; the zip is damaged")
        file.seek(name_length + extra_length, 1)
        data = file.read(ref.size)
    if len(data) < ref.size:
        raise ValueError("the zip ends in the middle of this member")
    return zlib.decompress(data, wbits=-zlib.MAX_WBITS) if ref.deflated else data


def _folder_members(source: str) -> Iterable[ImageRef]:
    for name, size in storage.list_files(source):
        yield ImageRef(key="", label=-1, name=name, path=storage.join(source, name), size=size)


def _zip_members(source: str) -> Iterable[ImageRef]:
    with storage.open_read(source) as file:
        try:
            members = zipfile.ZipFile(file).infolist()
        except zipfile.BadZipFile as error:
            raise UserError(
                f"{source}: expected a folder of images or a .zip, and this is no readable zip ({error})"
            ) from error
    for member in members:
        if member.is_dir():
            continue
        if member.compress_type not in _ZIP_READABLE or member.flag_bits & 1:
            raise UserError(f"{source}: '{member.filename}' is encrypted or packed in a way other than zip's deflate")
        yield ImageRef(
            key="",
            label=-1,
            name=member.filename,
            path=source,
            size=member.compress_size,
            offset=member.header_offset,
            deflated=_ZIP_READABLE[member.compress_type],
        )


def _split_and_key(name: str, asked: str) -> tuple[str, str]:
    within = name[name.index(_KAGGLE_PREFIX) + len(_KAGGLE_PREFIX) :] if _KAGGLE_PREFIX in name else name
    first, _, rest = within.partition("/")
    split = SPLIT_FOLDERS.get(first, asked) if rest else asked
    stem = (rest if rest and first in SPLIT_FOLDERS else within).rpartition(".")[0]
    # A key may become a path (--png_folder): nothing in it may lead out of a folder.
    stem = "/".join(part for part in stem.split("/") if part not in ("", ".", ".."))
    # File names that are not UTF-8 still get a printable key.
    return split, f"{split}/{stem}".encode("utf-8", "surrogateescape").decode("utf-8", "replace")
