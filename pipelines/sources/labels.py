"""Finds ImageNet's class labels. A label is the index of a WordNet id among the 1000 sorted ids of ILSVRC 2012."""

from __future__ import annotations

import functools
import pathlib
import re

UNKNOWN = -1
_WNID = re.compile(r"n\d{8}")


@functools.cache
def wnids() -> tuple[str, ...]:
    """Reads the 1000 WordNet ids, such as n01440764, in sorted order."""
    return tuple(pathlib.Path(__file__).with_name("imagenet_wnids.txt").read_text().split())


@functools.cache
def label_by_wnid() -> dict[str, int]:
    """Returns the label, 0..999, of each WordNet id."""
    return {wnid: index for index, wnid in enumerate(wnids())}


def label_from(value: object, *, first: int = 0) -> int:
    """Finds the label, 0..999, in what a record says of an image's class.

    Args:
      value: a number from `first` on, also as text or float; a WordNet id; or a list with one of them.
      first: the number of the first class.
    Returns:
      The label, or UNKNOWN for anything else, such as a class's name or a number of another set of classes.
    """
    if isinstance(value, (list, tuple)):
        return label_from(value[0], first=first) if len(value) == 1 else UNKNOWN
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        text = value.strip()
        if text in label_by_wnid():
            return label_by_wnid()[text]
        if not re.fullmatch(r"\d{1,6}(\.0*)?", text, re.ASCII):
            return UNKNOWN
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or value % 1:
        return UNKNOWN
    label = int(value) - first
    return label if 0 <= label < len(wnids()) else UNKNOWN


def label_of(path: str) -> int:
    """Finds the label, 0..999, from the last class folder in a path, else from the start of the file's name.

    It is UNKNOWN if neither of the two names a class.

    Both `train/n01440764/n01440764_10026.JPEG` and `n01440764_tench.JPEG` give 0.
    """
    *folders, name = path.split("/")
    for part in reversed(folders):
        if part in label_by_wnid():
            return label_by_wnid()[part]
    start = _WNID.match(name)
    return label_by_wnid().get(start.group(), UNKNOWN) if start else UNKNOWN
