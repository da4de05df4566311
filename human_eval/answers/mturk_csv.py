"""Reads the results CSV of Mechanical Turk's requester site, which has one row per assignment.

Rows may be two cells shorter than the header if Approve and Reject were left empty. `Input.*` may be absent. The
`Answer.*` columns are sorted as text.
"""

from __future__ import annotations

from collections.abc import Iterator

from coltran.errors import UserError
from human_eval.answers.rounded_numbers import IDS, refuse_rounded_numbers
from human_eval.answers.submissions import Submission, from_rater, unreadable, utc_time
from human_eval.folder.spreadsheet import read_table

SOURCE = "mturk-csv"
_OPTIONAL = ("Approve", "Reject")  # These are the last columns, and rows may lack them.


def submissions(data: bytes, where: str) -> Iterator[Submission]:
    """Yields one submission for each row. A row that was cut off says so.

    Raises:
      UserError: the file has other columns, or rounded numbers.
    """
    yield from rows_of_assignments(data, where, SOURCE)


def rows_of_assignments(data: bytes, where: str, source: str) -> Iterator[Submission]:
    """Yields the submissions of a CSV file with Mechanical Turk's column names.

    Args:
      data, where: bytes and name of the file.
      source: name of the format.
    """
    rows = read_table(data, where)
    header = [name.strip() for name in rows[0][1]] if rows else []
    missing = {"AssignmentId", "WorkerId", "SubmitTime"} - set(header)
    if missing or not any(name.startswith("Answer.") for name in header):
        raise UserError(
            f"{where}: no column {', '.join(sorted(missing)) or 'Answer.*'}; give the results file, not the batch"
        )
    least = len(header) - sum(name in _OPTIONAL for name in header[-len(_OPTIONAL) :])
    table = [(f"{where}, line {line}", row, dict(zip(header, row, strict=False))) for line, row in rows[1:]]
    refuse_rounded_numbers({name: [cells.get(name, "") for *_, cells in table] for name in IDS}, where)
    for place, row, cells in table:
        # Some programs add empty cells at the end.
        whole = least <= len(row) <= len(header) or (len(row) > len(header) and not any(row[len(header) :]))
        about = {
            "source": source,
            "where": place,
            "assignment": cells.get("AssignmentId", ""),
            "rater": cells.get("WorkerId", ""),
            "submitted": utc_time(cells.get("SubmitTime", "")),
            "status": cells.get("AssignmentStatus", ""),
            "accepted": cells.get("AcceptTime", ""),
            "handed_in": cells.get("SubmitTime", ""),
        }
        if not whole:
            problem = f"{place}: {len(row)} cells, expected {len(header)}; the file was cut or edited"
            yield unreadable(problem, about)
            continue
        # An empty cell belongs to a longer form. A trial that the rater left open holds `unset`.
        answers = {name.removeprefix("Answer."): cell for name, cell in cells.items() if cell and name[:7] == "Answer."}
        if "Input.form" in cells:
            answers.setdefault("form", cells["Input.form"])
        yield from_rater(answers, **about)
