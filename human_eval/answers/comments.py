"""Keeps what raters wrote at the end in a table beside the ratings: comments.csv, or pilot_comments.csv for a pilot.

Texts that a spreadsheet would run get an apostrophe in front. Raters appear as hashes.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Set

from coltran.errors import UserError
from human_eval.answers import ratings
from human_eval.folder.layout import private_file
from human_eval.folder.spreadsheet import csv_bytes, unescape_formula

COLUMNS = ("rater", "assignment", "form", "submitted", "comment")
Row = tuple[str, str, str, str, str]


def path_beside(table: pathlib.Path) -> pathlib.Path:
    """Returns the path of the comments that belong to a table of ratings."""
    return table.with_name("pilot_comments.csv" if table.name == ratings.IN_STUDY_PILOT.name else "comments.csv")


def read(path: pathlib.Path) -> set[Row]:
    """Reads the rows of a table. A missing file has no rows.

    Raises:
      UserError: the file has other columns.
    """
    if not path.exists():
        return set()
    rows = [cells for _, cells in ratings.read_rows(path.read_bytes(), str(path))]
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise UserError(f"{path}: is no table of comments (expected the columns {', '.join(COLUMNS)})")
    cells = (map(unescape_formula, row) for row in rows[1:])
    return {(rater, assignment, form, submitted, comment) for rater, assignment, form, submitted, comment in cells}


def add(path: pathlib.Path, new: Iterable[Row], *, without: Set[str] = frozenset()) -> None:
    """Adds each new row once, and removes the rows of the raters in `without`."""
    rows = read(path) | {row for row in new if row[-1]}
    by_time = sorted((row[3], row) for row in rows if row[0] not in without)
    if by_time or path.exists():
        private_file(path, csv_bytes(COLUMNS, (row for _, row in by_time)))
