"""Turns an image's name into its split and record key, which do not depend on how the images are packed.

ImageNet's official names alone say where an image belongs: `n01440764_10026` is in train and of that class,
`ILSVRC2012_val_00000293` is in validation. Other packagers put class folders around them, and Hugging Face appends
`_n01440764`. We remove both, so that a record has the same key in a folder, tar, zip, TFRecord or Parquet file.
"""

from __future__ import annotations

import re

SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "valid": "validation",
    "test": "test",
}
_KAGGLE_PREFIX = "ILSVRC/Data/CLS-LOC/"
_TRAIN_NAME = re.compile(r"(n\d{8})_\d+(_n\d{8})?")
_VALIDATION_NAME = re.compile(r"(ILSVRC2012_val_\d{8})(_n\d{8})?")
_WNID = re.compile(r"n\d{8}")
_DRIVE = re.compile(r"[A-Za-z]:/")
_SPLIT_WORD = re.compile(r"(?:^|[^a-z])(train|val|validation|test)(?=$|[^a-z])")


def split_and_key(name: str, asked: str) -> tuple[str, str]:
    """Finds the split that an image belongs to, and its record key `<split>/<path within it, without suffix>`.

    Args:
      name: path within the source, such as `train/n01440764/n01440764_10026.JPEG`.
      asked: the split for images whose names tell no split.
    """
    name = plain_path(name)
    within = name[name.index(_KAGGLE_PREFIX) + len(_KAGGLE_PREFIX) :] if _KAGGLE_PREFIX in name else name
    first, _, rest = within.partition("/")
    split = SPLIT_FOLDERS.get(first) if rest else None
    path = (rest if split else within).rpartition(".")[0]
    # A key may become a path (--png_folder), so nothing in it may lead out of a folder.
    *folders, stem = [part for part in path.split("/") if part not in ("", ".", "..")] or ["unnamed"]
    if not folders or (len(folders) == 1 and _WNID.fullmatch(folders[0])):
        if official := _VALIDATION_NAME.fullmatch(stem):
            split = split or "validation"
            folders, stem = [], official[1]
        elif (official := _TRAIN_NAME.fullmatch(stem)) and folders in ([], [official[1]]):
            folders, stem = [official[1]], stem.removesuffix(official[2] or "")
    split = split or asked
    # File names that are not UTF-8 get a printable key too.
    return split, "/".join([split, *folders, stem]).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def plain_path(name: str) -> str:
    """Writes a path as all packers should have: '/' between its parts, as in zips of Windows, and no empty ones or '.'.

    Parts '..' stay; see `leads_out`.
    """
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def leads_out(name: str) -> bool:
    """Tells whether the name of an archive's entry is absolute or leads out of the folder that it is unpacked in."""
    slashed = name.replace("\\", "/")
    return slashed.startswith("/") or _DRIVE.match(slashed) is not None or ".." in slashed.split("/")


def split_of_file(name: str) -> str | None:
    """Finds the split in the name of a file of many images, such as `imagenet2012-train.tfrecord-00000-of-01024`.

    It is None if the name tells no split.
    """
    found = _SPLIT_WORD.findall(name.lower())
    return SPLIT_FOLDERS[found[-1]] if found else None


def with_split(name: str, split: str | None) -> str:
    """Puts `name` below the folder of its container's split, unless it already begins with a split's folder."""
    says = _KAGGLE_PREFIX in name or ("/" in name and name.partition("/")[0] in SPLIT_FOLDERS)
    return name if says or split is None else f"{split}/{name}"
