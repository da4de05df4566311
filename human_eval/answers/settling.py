"""Makes one table of ratings that were read from any files, in any order, however often.

A sitting is what its platform says it is, which is the assignment. Times only order the sittings: the same answer may
come with its time in another zone or spelling, or without one.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any

from human_eval.answers import page as page_answers, ratings
from human_eval.answers.join import REPEAT, REUSED, STATUS
from human_eval.answers.ratings import Rating

COUNTED = ("", "approved")  # What services call an assignment that counts. `Submitted` is an empty text here.
REJECTED = "rejected"
COPY = "same answers under another name"
_ALIKE = 3  # So many answers never take the same times, to a tenth of a millisecond, in two sittings.
_ACROSS = (REUSED, REPEAT, COPY)  # These reasons depend on the other rows.
# A rejected assignment may be approved later, and nothing else changes an assignment that was approved.
_STATUSES = ("approved", REJECTED)
_OF_A_READING = ("source", "submitted", "status", "vision", "place", "elapsed_ms", "sitting_ms")
_MEASURED = ("response_ms", "first_ms", "second_ms", "voided", "repeated")


def settle(rows: Iterable[Rating], *, counted: Collection[str] = COUNTED) -> list[Rating]:
    """Sorts the table, joins rows that are the same answer, and excludes rows that contradict one another.

    The same sitting in two files (or formats) is one sitting. An assignment with two raters, two forms, or two answers
    to a trial does not count at all. If a rater has several test ratings of one source image, only the first counts.

    Args:
      rows: ratings of any files, and of the table so far.
      counted: the statuses of assignments that count, in small letters.
    """
    bare = [dataclasses.replace(row, excluded=_own_reason(row)) for row in rows]
    table = _joined(_joined(bare, _answer, _first), _copy, _of_the_platform)
    table.sort(key=ratings.order)
    reused, copies = _contradictory(table), _copied_sittings(table)
    seen: set[tuple[str, str]] = set()
    for place, row in enumerate(table):
        if row.excluded:
            continue
        if row.status.lower() not in counted:
            table[place] = dataclasses.replace(row, excluded=STATUS + row.status)
        elif row.assignment in reused:
            table[place] = dataclasses.replace(row, excluded=REUSED)
        elif row.assignment in copies:
            table[place] = dataclasses.replace(row, excluded=COPY)
        elif row.kind == "test":
            if (row.rater, row.key) in seen:
                table[place] = dataclasses.replace(row, excluded=REPEAT)
            seen.add((row.rater, row.key))
    return table


def _own_reason(row: Rating) -> str:
    return "" if row.excluded in _ACROSS or row.excluded.startswith(STATUS) else row.excluded


def _contradictory(table: Sequence[Rating]) -> set[str]:
    """Returns the assignments that have several raters or forms, or several answers to one trial."""
    answered = collections.Counter((row.assignment, row.trial) for row in table if row.trial is not None)
    raters: dict[str, set[str]] = collections.defaultdict(set)
    forms: dict[str, set[int | None]] = collections.defaultdict(set)
    for row in table:
        raters[row.assignment].add(row.rater)
        if not row.excluded:  # A trial of another form is excluded by itself.
            forms[row.assignment].add(row.form)
    twice = {assignment for (assignment, _), times in answered.items() if times > 1}
    shared = {name for groups in (raters, forms) for name, found in groups.items() if len(found) > 1}
    return twice | shared


def _copied_sittings(table: Sequence[Rating]) -> set[str]:
    """Returns the assignments whose answers are another rater's, with all their measured times.

    They come from a file that was read with --source and without it, or that was handed in under two names.
    """
    answers: dict[str, list[Hashable]] = collections.defaultdict(list)
    for row in table:
        if not row.excluded and row.response_ms is not None:
            measured = (row.response_ms, row.first_ms, row.second_ms)
            answers[row.assignment].append((row.trial, row.truth_first, row.chosen, measured))
    alike: dict[Hashable, list[str]] = collections.defaultdict(list)
    for assignment, found in answers.items():
        if len(found) >= _ALIKE:
            alike[frozenset(found)].append(assignment)
    return {assignment for same in alike.values() for assignment in sorted(same)[1:]}


def _answer(row: Rating) -> Hashable:
    """Returns what makes a row the same answer, whatever file it was read from."""
    fields = (field.name for field in dataclasses.fields(row))
    return tuple(getattr(row, name) for name in fields if name not in (*_OF_A_READING, *_MEASURED))


def _copy(row: Rating) -> Hashable:
    """Returns what makes a row a copy from another format. Nobody answers twice within the same tenth of a millisecond.

    The static page's file has no assignment, and the service that ran this page has one.
    """
    measured = (row.response_ms, row.first_ms, row.second_ms)
    if not row.rater or row.trial is None or not row.chosen or None in measured:
        return row
    return row.rater, row.form, row.trial, row.truth_first, row.chosen, row.excluded, measured


def _first(rows: Sequence[Rating]) -> Rating:
    return min(rows, key=ratings.order)


def _of_the_platform(rows: Sequence[Rating]) -> Rating:
    """Returns the row whose assignment comes from a service, and not from the page's own file."""
    return min(rows, key=lambda row: (page_answers.SOURCE in row.source.split(), row.assignment, ratings.order(row)))


def _joined(
    rows: Iterable[Rating], same: Callable[[Rating], Hashable], chosen: Callable[[Sequence[Rating]], Rating]
) -> list[Rating]:
    """Joins the rows that are the same. What one reading lacks comes from another, in a way that has no order."""
    groups: dict[Hashable, list[Rating]] = collections.defaultdict(list)
    for row in rows:
        groups[same(row)].append(row)
    return [group[0] if len(group) == 1 else _one(group, chosen(group)) for group in groups.values()]


def _one(group: Sequence[Rating], row: Rating) -> Rating:
    found: dict[str, Any] = {}
    for name in (*_OF_A_READING, *_MEASURED):
        values = [value for one in group if (value := getattr(one, name)) not in ("", None)]
        if name != "source" and values:
            found[name] = min(values, key=_status_order if name == "status" else None)
    return dataclasses.replace(row, **found)


def _status_order(status: str) -> tuple[int, str]:
    word = status.lower()
    return (_STATUSES.index(word) if word in _STATUSES else len(_STATUSES), word)
