"""Decides who does which form: hands out places, takes abandoned ones back, saves answers, and closes sittings.

A form has as many places as it needs raters. A rater holds a place from the first answer on, as long as the last sign
of life is younger than the lease. After that, the place may go to somebody else, and only then is the sitting
abandoned. Who has not answered anything yet keeps a place only until somebody else needs it; the first answer decides
whose it is. So names that come and do nothing take no place. Every decision is one transaction, so that raters who come
at the same moment cannot get the same place.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence

from human_eval.folder.forms import PRACTICE, Form, Trial
from human_eval.server.database import ABANDONED, FINISHED, RUNNING, Database
from human_eval.server.sitting import RefusedError, Sitting, Visit, as_sitting, known_sitting, places, rows_of_rater

NOTHING_LEFT, ALL_TAKEN, COMPLETE = "nothing left", "all taken", "complete"


class Sittings:
    """All sittings of a study."""

    def __init__(
        self,
        database: Database,
        forms: Sequence[Form],
        *,
        lease: float,
        most: int,
        now: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        """Keeps the arguments.

        Args:
          database: the database with the sittings.
          forms: the design's forms.
          lease: seconds without a sign of life after which a place may go to somebody else.
          most: maximum number of forms that one rater may do.
          now: the clock, in seconds since 1970.
          steady: a clock in seconds that never goes back. Leases and the times of answers follow it.
        """
        self._database = database
        self._forms = {form.number: form for form in forms}
        self._lease = lease
        self._most = most
        self._now = now
        self._steady = steady

    def enter(self, rater: str, *, another: str = "", begin: Callable[[], None] = lambda: None) -> Visit:
        """Gives a form to a rater who comes, or comes again.

        Args:
          rater: the rater's name.
          another: how many sittings this rater has finished. The right number gives another form. Any other number
            gives none, for example from a page that is loaded again after its end.

        Returns:
          The running sitting with its next turn if there is one, else the finished sittings, or a new sitting.
        """
        with self._database.transaction() as connection:
            mine = [as_sitting(connection, row) for row in rows_of_rater(connection, rater)]
            for sitting in mine:
                if sitting.state == RUNNING:
                    change = "UPDATE sittings SET turn = turn + 1, seen = ? WHERE sitting = ?"
                    connection.execute(change, [self._steady(), sitting.id])
                    return Visit(sitting=dataclasses.replace(sitting, turn=sitting.turn + 1))
            finished = [sitting for sitting in mine if sitting.state == FINISHED]
            place, why = self._place(connection, mine) if len(finished) < self._most else (None, NOTHING_LEFT)
            if place is None or (finished and another != str(len(finished))):
                return Visit(sitting=None, finished=finished, more=place is not None, why=why)
            begin()
            return Visit(sitting=self._seat(connection, rater, *place, mine))

    def save(self, sitting: str, turn: int, trial: int, check: Callable[[Sitting], str]) -> int:
        """Saves one answer. Saving the same answer again changes nothing.

        Args:
          sitting, turn: the sitting and the turn of the page.
          trial: the trial that was answered.
          check: returns the text to save. It raises if the answer does not belong to this sitting's form.

        Returns:
          The number of saved answers of the sitting.

        Raises:
          RefusedError: the sitting is unknown or abandoned, the page is an older one, or the trial has another answer.
        """
        with self._database.transaction() as connection:
            found = self._writable(connection, sitting, turn)
            text = check(found)
            query = "SELECT answer FROM answers WHERE sitting = ? AND trial = ?"
            before = connection.execute(query, [sitting, trial]).fetchone()
            if before is not None:
                if before["answer"] != text:
                    raise RefusedError(409, "this pair was answered before, in another way")
                return len(found.answered)
            now = self._steady()
            connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", [sitting, trial, now, text])
            connection.execute("UPDATE sittings SET seen = ? WHERE sitting = ?", [now, sitting])
            return len(found.answered) + 1

    def finish(self, sitting: str, turn: int, page: Mapping, code: str, redirect: str | None) -> Sitting:
        """Closes a sitting whose trials are all answered. Closing it again gives the same code and redirect again.

        Args:
          sitting, turn: the sitting and the turn of the page.
          page: what the page said besides the answers.
          code, redirect: what the rater gets.

        Raises:
          RefusedError: `save` would refuse too, or answers are missing.
        """
        with self._database.transaction() as connection:
            found = known_sitting(connection, sitting)
            if found.state == FINISHED:
                return found
            found = self._writable(connection, sitting, turn)
            missing = len(trials_of(self._forms[found.form], found)) - len(found.answered)
            if missing:
                raise RefusedError(409, f"{missing} pairs are not answered yet")
            connection.execute(
                "UPDATE sittings SET state = ?, finished = ?, seen = ?, code = ?, redirect = ?, page = ? "
                "WHERE sitting = ?",
                [FINISHED, self._now(), self._steady(), code, redirect, json.dumps(page), sitting],
            )
            return dataclasses.replace(found, state=FINISHED, code=code, redirect=redirect)

    def _writable(self, connection: sqlite3.Connection, sitting: str, turn: int) -> Sitting:
        found = known_sitting(connection, sitting)
        if turn != found.turn:
            raise RefusedError(410, "this page was opened again; go on in the newest window, or reload")
        if found.state == ABANDONED and not found.answered and self._may_come_back(connection, found):
            self._leave(connection, found.form, found.slot)
            connection.execute("UPDATE sittings SET state = ? WHERE sitting = ?", [RUNNING, found.id])
            found = dataclasses.replace(found, state=RUNNING)
        if found.state == ABANDONED:
            why = "after a long pause" if found.answered else "before your first answer"
            message = f"this set of pairs was given to somebody else {why}; open your link again"
            raise RefusedError(410, message, reload=not found.answered)
        return found

    def _may_come_back(self, connection: sqlite3.Connection, sitting: Sitting) -> bool:
        """Returns whether a sitting without answers can have its place again.

        It cannot if somebody with an answer holds the place, or if the rater has another form with the same images.
        """
        place = (sitting.form, sitting.slot)
        if any((row["form"], row["slot"]) == place and not self._is_open(row) for row in places(connection)):
            return False
        query = "SELECT form FROM sittings WHERE rater = (SELECT rater FROM sittings WHERE sitting = ?) AND state != ?"
        others = [form for (form,) in connection.execute(query, [sitting.id, ABANDONED]) if form in self._forms]
        return all(self._forms[form].keys.isdisjoint(self._forms[sitting.form].keys) for form in others)

    def _is_open(self, row: sqlite3.Row) -> bool:
        """Returns whether a place that somebody has may be given away."""
        silent = row["seen"] < self._steady() - self._lease
        return row["state"] == RUNNING and (silent or not row["answers"])

    def _place(self, connection: sqlite3.Connection, mine: Sequence[Sitting]) -> tuple[tuple[int, int] | None, str]:
        """Finds (form, slot) for a rater who had the sittings `mine`, or None and the reason."""
        taken: dict[int, dict[int, sqlite3.Row]] = collections.defaultdict(dict)
        for row in places(connection):
            taken[row["form"]][row["slot"]] = row
        done = {form: sum(row["state"] == FINISHED for row in slots.values()) for form, slots in taken.items()}
        unfinished = [form for form in self._forms.values() if done.get(form.number, 0) < form.raters]
        if not unfinished:
            return None, COMPLETE
        mine = [old for old in mine if old.state != ABANDONED or old.answered]
        met = frozenset().union(*(self._forms[old.form].keys for old in mine if old.form in self._forms))
        begun = {old.form for old in mine}
        suitable = [form for form in unfinished if form.number not in begun and met.isdisjoint(form.keys)]
        oldest = self._steady() - self._lease
        best: tuple[bool, float, int, int] | None = None
        for form in suitable:
            slots = taken[form.number]
            free = [(0.0, slot) for slot in range(form.raters) if slot not in slots]
            # Free slots come before slots that somebody left. Of these, the slot that was left first comes first.
            left = [(row["seen"], slot) for slot, row in slots.items() if self._is_open(row) and row["seen"] < oldest]
            # Last come slots of people who are there and have not answered anything.
            idle = [(row["seen"], slot) for slot, row in slots.items() if self._is_open(row) and row["seen"] >= oldest]
            if free or left:
                found = (False, form.raters - len(free) - len(left), form.number, min(free or left)[1])
            elif idle:
                found = (True, min(idle)[0], form.number, min(idle)[1])
            else:
                continue
            best = min(best or found, found)
        if best:
            return best[2:], ""
        return None, ALL_TAKEN if suitable else NOTHING_LEFT

    def _leave(self, connection: sqlite3.Connection, form: int, slot: int) -> None:
        leave = "UPDATE sittings SET state = ? WHERE form = ? AND slot = ? AND state = ?"
        connection.execute(leave, [ABANDONED, form, slot, RUNNING])

    def _seat(
        self, connection: sqlite3.Connection, rater: str, form: int, slot: int, mine: Sequence[Sitting]
    ) -> Sitting:
        self._leave(connection, form, slot)
        for old in mine:
            if old.form == form:  # This rater lost the form before the first answer.
                change = "UPDATE sittings SET state = ?, slot = ?, turn = turn + 1, seen = ? WHERE sitting = ?"
                connection.execute(change, [RUNNING, slot, self._steady(), old.id])
                return known_sitting(connection, old.id)
        practiced = any(_practiced(self._forms[old.form], old) for old in mine if old.form in self._forms)
        name = secrets.token_hex(8)
        connection.execute(
            "INSERT INTO sittings (sitting, rater, form, slot, practice, turn, started, seen, state) "
            "VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)",
            [name, rater, form, slot, not practiced, self._now(), self._steady(), RUNNING],
        )
        return known_sitting(connection, name)


def trials_of(form: Form, sitting: Sitting) -> list[Trial]:
    """Returns the trials of a sitting. They are its form's trials, without practice if the rater has had it before."""
    return [trial for trial in form.trials if sitting.practice or trial.kind != PRACTICE]


def _practiced(form: Form, sitting: Sitting) -> bool:
    practice = {trial.id for trial in form.trials if trial.kind == PRACTICE}
    return not sitting.practice or practice <= set(sitting.answered)
