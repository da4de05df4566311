"""Results as a Turkle server gives them: whether they are whole, and what stands in them."""

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
_STATUS = "AssignmentStatus"  # Turkle 3.1 has no such column, since it knows no rejection; a relative of it may
_GOOD = ("", "Submitted", "Approved")
_TRIES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assignment:
    """One sitting; `status` is empty where the server says none, `cells` is its row."""

    number: str
    form: int
    status: str
    cells: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether nobody rejected or returned it."""
        return self.status in _GOOD


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """The results of a batch: the bytes as they came, and what stands in them."""

    data: bytes
    header: tuple[str, ...]
    assignments: tuple[Assignment, ...]

    def good_bytes(self) -> bytes:
        """The file without what was rejected or returned; as it came where there is nothing of that kind."""
        if all(one.good for one in self.assignments):
            return self.data
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerows([self.header, *(one.cells for one in self.assignments if one.good)])
        return buffer.getvalue().encode()

    def by_form(self) -> Mapping[int, collections.Counter[str]]:
        """How many assignments of each form have which status; `Submitted` where the server says none."""
        counts: dict[int, collections.Counter[str]] = {}
        for one in self.assignments:
            counts.setdefault(one.form, collections.Counter())[one.status or "Submitted"] += 1
        return counts


def download(turkle: Turkle, batch: int) -> Results:
    """The results of a batch.

    Raises:
      UserError: fewer assignments than the server counts, or half a row.
    """
    where = f"{turkle.address}: the results of batch {batch}"
    for attempt in range(_TRIES):
        finished = turkle.finished(batch)
        data = turkle.results(batch)  # whose own errors speak for themselves
        try:
            results = parse(data, where)
            if len(results.assignments) < finished:
                raise UserError(f"{where} have {len(results.assignments)} of {finished} assignments")
            return results
        except UserError as error:  # an assignment may just have been deleted
            if attempt == _TRIES - 1:
                raise UserError(
                    f"{error}; they were cut, as Turkle does where a rater's name is not ASCII: download them on the "
                    f"batch's admin page instead, and give that file to `coltran-study ingest`"
                ) from None
            turkle.wait(attempt)
    raise AssertionError("the last attempt returns or raises")


def parse(data: bytes, where: str) -> Results:
    """The assignments in a results CSV.

    Args:
      data: the file's bytes.
      where: its name in messages.
    Raises:
      UserError: no such file, or one that was cut.
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
