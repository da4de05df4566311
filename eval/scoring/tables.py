"""Makes tables from the rows of a result: rows.csv, steps.csv, and report.html's table with the paper's numbers."""

from __future__ import annotations

import csv
import dataclasses
import io
import statistics
from collections.abc import Callable, Iterable

from eval.scoring.result import PAPER, FidResult, RowResult

Number = float | int | None


def _mean(name: str) -> Callable[[RowResult], Number]:
    """Returns a function that computes the mean of a number over a row's repeats, or None if a repeat lacks it."""

    def value(row: RowResult) -> Number:
        numbers = [getattr(score, name) for score in row.scores]
        return None if None in numbers else statistics.fmean(numbers)

    return value


def _fake(name: str) -> Callable[[RowResult], Number]:
    return lambda row: getattr(row.scores[0].fake, name)


_COLUMNS: dict[str, Callable[[RowResult], Number]] = {
    "fid": lambda row: row.fid,
    "fid_std": lambda row: row.fid_std,
    "standard_error": _mean("standard_error"),
    "fid_corrected": _mean("fid_corrected"),
    "fid_infinite": _mean("fid_infinite"),
    "floor": _mean("floor"),
    "kid": _mean("kid"),
    "kid_standard_error": _mean("kid_standard_error"),
    "colorfulness": _fake("colorfulness"),
    "diversity": _fake("diversity"),
    "images": _fake("count"),
    "paper": lambda row: row.paper,
    "paper_std": lambda row: row.paper_std,
}
# Each entry is a heading of the report's table, the column, and the column for the number after the +-.
_OF_PAPER = ("the paper's", "paper", "paper_std")
_ONLY_COMPARABLE = ("paper", "paper_std")
_SHOWN = (
    ("FID (± over samplings)", "fid", "fid_std"),
    _OF_PAPER,
    ("standard error", "standard_error", None),
    ("bias-corrected", "fid_corrected", None),
    ("at infinitely many", "fid_infinite", None),
    ("truth against truth", "floor", None),
    ("KID (± standard error)", "kid", "kid_standard_error"),
    ("colorfulness", "colorfulness", None),
    ("diversity", "diversity", None),
    ("images", "images", None),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the report's table, with the name of its row and the text of its cells."""

    name: str
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """The report's table, with its headings, the lines of this run's rows, and the lines of the paper's other rows.

    Attributes:
      headings: heading of each cell.
      own: this run's rows.
      of_paper: the paper's other rows, with cells under the same headings; none if this run's cannot be compared.
      apart: (row, number) of the paper's rows for a table of their own, if this run's cannot be compared with them.
    """

    headings: tuple[str, ...]
    own: tuple[Line, ...]
    of_paper: tuple[Line, ...]
    apart: tuple[tuple[str, str], ...]


def beside_the_papers(result: FidResult) -> Table:
    """Makes the report's table. It has a column if some row has a number for it.

    The paper's numbers stand in it only if every row can be compared with them.
    """
    rows = result.rows
    comparable = all(map(is_comparable, rows))
    shown = [column for column in _SHOWN if any(_COLUMNS[column[1]](row) is not None for row in rows)]
    shown = [column for column in shown if column is not _OF_PAPER]
    if comparable:
        shown.insert(1, _OF_PAPER)
    own_names = {row.name.lower() for row in rows}
    own = []
    for row in rows:
        cells = (_cell(_COLUMNS[name](row), _COLUMNS[spread](row) if spread else None) for _, name, spread in shown)
        own.append(Line(name=row.name, cells=tuple(cells)))
    of_paper = [
        Line(name=name, cells=tuple(_cell(*numbers) if column == "paper" else "" for _, column, _ in shown))
        for name, numbers in PAPER.items()
        if comparable and name.lower() not in own_names
    ]
    return Table(
        headings=tuple(heading for heading, _, _ in shown),
        own=tuple(own),
        of_paper=tuple(of_paper),
        apart=() if comparable else tuple((name, _cell(*numbers)) for name, numbers in PAPER.items()),
    )


def is_comparable(row: RowResult) -> bool:
    """Says whether all of a row's numbers can be compared with the paper's."""
    return all(score.comparable for score in row.scores)


def _cell(value: Number, spread: Number = None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    digits = 4 if 0 < abs(value) < 1 else 2
    return f"{value:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def rows_csv(result: FidResult) -> bytes:
    """Returns rows.csv: one line per row with the columns of the report, unrounded."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["row", *_COLUMNS, "samplings", "comparable", "notes"])
    for row in result.rows:
        comparable = is_comparable(row)
        values = [
            value(row) if comparable or name not in _ONLY_COMPARABLE else None for name, value in _COLUMNS.items()
        ]
        table.writerow([row.name, *values, len(row.scores), comparable, "; ".join(notes_of([row]))])
    return text.getvalue().encode()


def steps_csv(result: FidResult) -> bytes:
    """Returns steps.csv: FID against training steps, one line for each row with a known checkpoint step."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["step", "row", "fid", "standard_error", "bits"])
    for step, row in result.by_step():
        table.writerow([step, row.name, row.fid, row.scores[0].standard_error, row.bits])
    return text.getvalue().encode()


def notes_of(rows: Iterable[RowResult]) -> list[str]:
    """Lists the notes that a reader of the rows must know, each note once."""
    return list(dict.fromkeys(note for row in rows for score in row.scores for note in score.notes))
