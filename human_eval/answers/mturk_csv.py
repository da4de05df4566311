"""Reads the results CSV of Mechanical Turk's requester site, which has one row per assignment.

Rows may be two cells shorter than the header if Approve and Reject were left empty. `Input.*` may be absent. The
`Answer.*` columns are sorted as text.
"""

from __future__ import annotations

from collections.abc import Iterator

from coltran.errors import UserError
from human_eval.answers.ratings import read_rows
from human_eval.answers.submissions import Submission, from_rater, utc_time

SOURCE = "mturk-csv"
_OPTIONAL = ("Approve", "Reject")  # These are the last columns, and rows may lack them.


def submissions(data: bytes, where: str) -> Iterator[Submission]:
    """Yields one submission for each row. It raises a UserError for a row that was cut off or for other columns."""
    yield from rows_of_assignments(data, where, SOURCE)


def rows_of_assignments(data: bytes, where: str, source: str) -> Iterator[Submission]:
    """Yields the submissions of a CSV file with Mechanical Turk's column names.

    Args:
      data, where: bytes and name of the file.
      source: name of the format.
    """
    rows = iter(read_rows(data, where))
    _, header = next(rows, (0, []))
    missing = {"AssignmentId", "WorkerId", "SubmitTime"} - set(header)
    if missing or not any(name.startswith("Answer.") for name in header):
        raise UserError(
            f"{where}: no column {', '.join(sorted(missing)) or 'Answer.*'}; give the results file, not the batch"
        )
    least = len(header) - sum(name in _OPTIONAL for name in header[-len(_OPTIONAL) :])
    for line, row in rows:
        if not row:
            continue
        if not least <= len(row) <= len(header):
            raise UserError(
                f"{where}, line {line}: {len(row)} cells, expected {len(header)}; the file was cut or edited"
            )
        cells = dict(zip(header, row, strict=False))
        # An empty cell belongs to a longer form. A trial that the rater left open holds `unset`.
        answers = {name.removeprefix("Answer."): cell for name, cell in cells.items() if cell and name[:7] == "Answer."}
        if "Input.form" in cells:
            answers.setdefault("form", cells["Input.form"])
        yield from_rater(
            answers,
            source=source,
            where=f"{where}, line {line}",
            assignment=cells["AssignmentId"],
            rater=cells["WorkerId"],
            submitted=utc_time(cells["SubmitTime"]),
        )
