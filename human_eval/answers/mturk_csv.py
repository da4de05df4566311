"""Results as Mechanical Turk's requester site wrote them: one row an assignment.

Rows may be two cells shorter than the header (Approve and Reject were left empty), `Input.*` may be absent, and the
`Answer.*` columns are sorted as text.
"""

from __future__ import annotations

from collections.abc import Iterator

from coltran.errors import UserError
from human_eval.answers.ratings import read_rows
from human_eval.answers.submissions import Submission, from_rater, utc_time

SOURCE = "mturk-csv"
_OPTIONAL = ("Approve", "Reject")  # the last columns, which rows may lack


def submissions(data: bytes, where: str) -> Iterator[Submission]:
    """Yields one submission for each row; raises UserError for a cut row or other columns."""
    yield from rows_of_assignments(data, where, SOURCE)


def rows_of_assignments(data: bytes, where: str, source: str) -> Iterator[Submission]:
    """Yields the submissions of a CSV file with Mechanical Turk's column names.

    Args:
      data, where: the file's bytes and name.
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
        # An empty cell is a column of another, longer form; what a rater left open is `unset`.
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
