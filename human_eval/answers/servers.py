"""Finds answers of two Turkle servers in one table. Each server numbers its assignments from 1."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from coltran.errors import UserError
from human_eval.answers import turkle_csv
from human_eval.answers.ratings import Rating


def refuse_two(out: pathlib.Path, before: Sequence[Rating], rows: Sequence[tuple[str, Rating]]) -> None:
    """Refuses rows in which one assignment of Turkle has two raters or forms.

    Args:
      out, before: the table so far.
      rows: the new ratings, each with the place where it was read.

    Raises:
      UserError: two servers have numbered them.
    """
    known: dict[str, tuple[str, int | None, str]] = {}
    for where, row in [*((str(out), row) for row in before), *rows]:
        if turkle_csv.SOURCE not in row.source.split() or row.excluded:
            continue
        rater, form, there = known.setdefault(row.assignment, (row.rater, row.form, where))
        if (rater, form) != (row.rater, row.form):
            raise UserError(
                f"{where}: assignment {row.assignment} has another rater or form than in {there}; if they are of two "
                "Turkle servers, ingest the files of each with --source NAME"
            )
