"""Looks for anything in the public folder that would tell a rater which image is real."""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Iterator

_WNID = re.compile(rb"n\d{8}")


def find_leaks(public: pathlib.Path, key_file: pathlib.Path) -> Iterator[str]:
    """One line for each leak that is found.

    Args:
      public: the folder that raters may see.
      key_file: the private key.csv.
    """
    with open(key_file, newline="") as file:
        rows = list(csv.DictReader(file))
    words = {word.encode() for row in rows for word in (row["key"], row["key"].rpartition("/")[2]) if len(word) > 3}
    for path in sorted(public.rglob("*")):
        if path.is_file() and path.suffix != ".png":
            data = path.read_bytes()
            yield from (f"{path.name}: holds the source name {word.decode()}" for word in words if word in data)
            yield from (f"{path.name}: holds the class {found.decode()}" for found in set(_WNID.findall(data)))
    yield from _unequal_files(public / "images", rows)
    times = {path.stat().st_mtime_ns for path in public.rglob("*")}
    if len(times) > 1:
        yield f"{len(times)} different time stamps"


def _unequal_files(images: pathlib.Path, rows: list[dict[str, str]]) -> Iterator[str]:
    trials: dict[str, list[pathlib.Path]] = {}
    for row in rows:
        trials.setdefault(row["trial"], []).append(images / row["file"])
    for trial, pair in trials.items():
        missing = [path.name for path in pair if not path.exists()]
        if missing:
            yield f"trial {trial}: no file {missing[0]}"
        elif len({path.stat().st_size for path in pair}) > 1:
            yield f"trial {trial}: its two files differ in length"
    known = {row["file"] for row in rows}
    yield from (f"{path.name}: belongs to no trial" for path in sorted(images.iterdir()) if path.name not in known)
