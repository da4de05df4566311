"""Where the images are: an index of every image in a folder, zip or tar, made without reading any pixel.

The index is what is spread over the workers; the bytes of an image are read once, by the worker that writes its shard.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from coltran import storage
from coltran.errors import UserError
from pipelines import archives, imagenet_labels

SPLIT_FOLDERS = {"train": "train", "val": "validation", "validation": "validation"}
IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_KAGGLE_PREFIX = "ILSVRC/Data/CLS-LOC/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageRef:
    """One image's place.

    Attributes:
      key: record key, `<split>/<path within the split, without suffix>`.
      label: 0..999, or -1 where unknown.
      name: path within the source, for messages.
      path: the file that holds the bytes.
      size: bytes to read there.
      member: fields of `archives.Member` where `path` is an archive.
    """

    key: str
    label: int
    name: str
    path: str
    size: int
    member: Mapping[str, object] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Index:
    """All images of a split, sorted by name, and how many other files were passed over."""

    images: tuple[ImageRef, ...]
    ignored: int


def index_images(source: str, split: str) -> Index:
    """Lists the images of `split` in a folder (searched recursively), .zip or .tar, local or gs://.

    In folders named train, val or validation at the top (or below Kaggle's ILSVRC/Data/CLS-LOC), only those of the
    split are taken; images elsewhere belong to whatever split is asked for.

    Raises:
      UserError: nothing there, no such archive, or no image of that split.
    """
    if storage.is_folder(source):
        members = _folder_members(source)
    elif storage.exists(source):
        members = _archive_members(source)
    else:
        raise UserError(
            f"{source}: no such file or folder; expected a folder of images, Kaggle's zip, or the official tar"
        )
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
    """The image file's bytes.

    Raises:
      UserError: its file cannot be read.
      ValueError, zlib.error: it is a damaged member of an archive.
    """
    with storage.open_read(ref.path) as file:
        return file.read() if ref.member is None else archives.read_member(file, archives.Member(**ref.member))


def _folder_members(source: str) -> Iterable[ImageRef]:
    for name, size in storage.list_files(source):
        yield ImageRef(key="", label=-1, name=name, path=storage.join(source, name), size=size)


def _archive_members(source: str) -> Iterable[ImageRef]:
    for member in archives.list_members(source):
        place = dataclasses.asdict(member)
        yield ImageRef(key="", label=-1, name=member.name, path=source, size=member.size, member=place)


def _split_and_key(name: str, asked: str) -> tuple[str, str]:
    within = name[name.index(_KAGGLE_PREFIX) + len(_KAGGLE_PREFIX) :] if _KAGGLE_PREFIX in name else name
    first, _, rest = within.partition("/")
    split = SPLIT_FOLDERS.get(first, asked) if rest else asked
    stem = (rest if rest and first in SPLIT_FOLDERS else within).rpartition(".")[0]
    # A key may become a path (--png_folder): nothing in it may lead out of a folder.
    stem = "/".join(part for part in stem.split("/") if part not in ("", ".", ".."))
    # File names that are not UTF-8 still get a printable key.
    return split, f"{split}/{stem}".encode("utf-8", "surrogateescape").decode("utf-8", "replace")
