"""Finds the one size of a study's images, and names the photos that are cropped or made smaller to get it."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping, Sequence

from coltran import storage
from coltran.errors import UserError
from human_eval.design.sources import Source
from human_eval.folder.layout import private_file
from human_eval.folder.spreadsheet import csv_bytes

_LARGEST = 256  # Photos that are cropped or made smaller get at most this side, which is the paper's.
_NAMED = 3


def common_side(sources: Iterable[Source]) -> int:
    """Returns the side that all images of a study get, and refuses pairs that show different parts of a photo.

    Raises:
      UserError: the sources have records of two sizes, or a photo and its colorization have different shapes.
    """
    sources = list(sources)
    records = {source.side: source for source in sources if source.folder is not None}
    if len(records) > 1:
        (one, first), (two, second), *_ = sorted(records.items())
        raise UserError(f"{first.path} has {one} pixels a side and {second.path} {two}; a pair must be of one size")
    plain = [source for source in sources if source.folder is None]
    _refuse_other_shapes(sources)
    sides = {side for source in plain for size in source.sizes.values() for side in size} | set(records)
    if len(sides) == 1:
        return sides.pop()  # All are square and of one size, and stay as they are.
    if records and min(sides) < min(records):
        raise UserError(
            f"{plain[0].path}: has photos smaller than the {min(records)} pixels of {records[min(records)].path}"
        )
    return min(records) if records else min(_LARGEST, *sides)


def _refuse_other_shapes(sources: Sequence[Source]) -> None:
    truth = sources[0]
    for model in sources[1:]:
        for (key, _), file in model.found.items():
            if (key, 0) not in truth.found:
                continue
            one = truth.sizes.get(truth.found[key, 0], (truth.side, truth.side))
            two = model.sizes.get(file, (model.side, model.side))
            # After rounding, a smaller copy has nearly the same shape.
            if abs(one[0] * two[1] - one[1] * two[0]) > max(*one, *two):
                raise UserError(
                    f"{storage.join(model.path, file)}: is {two[0]}x{two[1]}, and its photo in {truth.path} "
                    f"{one[0]}x{one[1]}; both must show the same part"
                )


def changed(source: Source, side: int) -> dict[str, tuple[int, int]]:
    """Returns the files that are cropped or made smaller, with their (width, height)."""
    return {name: size for name, size in source.sizes.items() if size != (side, side)}


def log(sources: Iterable[Source], path: pathlib.Path) -> None:
    """Writes a table of all photos that are cropped or made smaller, if there are any."""
    rows = [
        (source.model, name, *size, source.side)
        for source in sources
        for name, size in sorted(changed(source, source.side).items())
    ]
    if rows:
        private_file(path, csv_bytes(("source", "file", "width", "height", "side"), rows))


def describe(source: Source, side: int) -> str:
    """Returns a line that names what is cropped or made smaller, or an empty text."""
    files: Mapping[str, tuple[int, int]] = changed(source, side)
    if not files:
        return ""
    first = ", ".join(f"{name} ({width}x{height})" for name, (width, height) in sorted(files.items())[:_NAMED])
    more = ", ..." if len(files) > _NAMED else ""
    count = f"{len(files)} of {len(source.sizes)} photos"
    return f"{source.path}: {count} become their middle square of {side} pixels: {first}{more}"
