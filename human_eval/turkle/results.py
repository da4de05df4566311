"""Reads the results of a Turkle server, and checks whether they are complete."""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence

from coltran.errors import UserError
from human_eval.answers.ratings import read_rows
from human_eval.turkle.service import Turkle

_NEEDED = ("AssignmentId", "WorkerId", "SubmitTime", "Input.form")
_STATUS = "AssignmentStatus"  # Turkle 3.1 cannot reject, so it lacks this column. Related servers may have it.
_GOOD = ("", "Submitted", "Approved")
_TRIES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assignment:
    """One sitting. `status` is empty if the server gives none, and `cells` is the sitting's row."""

    number: str
    form: int
    status: str
    cells: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether nobody rejected or returned the assignment."""
        return self.status in _GOOD


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """The results of a batch, with the bytes as they came and their content."""

    data: bytes
    header: tuple[str, ...]
    assignments: tuple[Assignment, ...]

    def good_bytes(self) -> bytes:
        """Returns the file without rejected or returned assignments. Without any, it returns the file as it came."""
        if all(one.good for one in self.assignments):
            return self.data
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerows([self.header, *(one.cells for one in self.assignments if one.good)])
        return buffer.getvalue().encode()

    def by_form(self) -> Mapping[int, collections.Counter[str]]:
        """Counts the assignments of each form by status. The status is `Submitted` if the server gives none."""
        counts: dict[int, collections.Counter[str]] = {}
        for one in self.assignments:
            counts.setdefault(one.form, collections.Counter())[one.status or "Submitted"] += 1
        return counts


def download(turkle: Turkle, batch: int) -> Results:
    """Downloads the results of a batch.

    Raises:
      UserError: there are fewer assignments than the server counts, or a row was cut off.
    """
    where = f"{turkle.address}: the results of batch {batch}"
    for attempt in range(_TRIES):
        finished = turkle.finished(batch)
        data = turkle.results(batch)  # Its own errors need no explanation.
        try:
            results = parse(data, where)
            if len(results.assignments) < finished:
                raise UserError(f"{where} have {len(results.assignments)} of {finished} assignments")
            return results
        except UserError as error:  # Somebody may just have deleted an assignment.
            if attempt == _TRIES - 1:
                raise UserError(
                    f"{error}; they were cut, as Turkle does where a rater's name is not ASCII: download them on the "
                    f"batch's admin page instead, and give that file to `coltran-study ingest`"
                ) from None
            turkle.wait(attempt)
    raise AssertionError("the last attempt returns or raises")


def parse(data: bytes, where: str) -> Results:
    """Reads the assignments in a results CSV.

    Args:
      data: bytes of the file.
      where: name of the file in messages.

    Raises:
      UserError: the bytes are not such a file, or it was cut off.
    """
    rows = [tuple(cells) for _, cells in read_rows(data, where) if cells]
    if not data.endswith(b"\n") or not rows or any(len(row) != len(rows[0]) for row in rows):
        raise UserError(f"{where} are no whole CSV file")
    header = rows[0]
    missing = [name for name in _NEEDED if name not in header]
    if missing and len(rows) > 1:
        raise UserError(f"{where} have no column {missing[0]}; expected those of Turkle 3.1")
    return Results(data=data, header=header, assignments=tuple(_assignment(header, row, where) for row in rows[1:]))


def _assignment(header: Sequence[str], row: tuple[str, ...], where: str) -> Assignment:
    cells = dict(zip(header, row, strict=True))
    if not cells["Input.form"].isdecimal():
        raise UserError(f"{where} have an assignment of no form: '{cells['Input.form'][:20]}'")
    return Assignment(
        number=cells["AssignmentId"], form=int(cells["Input.form"]), status=cells.get(_STATUS, ""), cells=row
    )
