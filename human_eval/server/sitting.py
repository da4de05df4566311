"""Defines a sitting as the database has it, what a visit gives, and a refusal."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Sequence

from human_eval.server.database import ABANDONED


class RefusedError(Exception):
    """Says that the server cannot do what a page asked for. `status` is the HTTP status."""

    def __init__(self, status: int, message: str, *, reload: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.reload = reload  # Whether the page gets another form if it is loaded again.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sitting:
    """One rater with one form, as in the database.

    Attributes:
      id: random name of the sitting.
      form, slot: which place it holds. Odd slots see every pair the other way around.
      practice: whether the form's practice belongs to the sitting.
      turn: how often its page was handed out. Only the newest page may save answers.
      state: running, finished or abandoned.
      code, redirect: what the rater got at the end. The code is empty before the end.
      answered: trials with a saved answer.
    """

    id: str
    form: int
    slot: int
    practice: bool
    turn: int
    state: str
    code: str
    redirect: str | None
    answered: tuple[int, ...]

    @property
    def flipped(self) -> bool:
        """Whether every pair is shown the other way around."""
        return self.slot % 2 == 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Visit:
    """What a rater gets on entering.

    Attributes:
      sitting: the sitting to start or to continue, or None.
      finished: the sittings that this rater has finished before.
      more: whether there is another form for this rater.
      why: why there is no sitting: NOTHING_LEFT for this rater, ALL_TAKEN for now, or the study is COMPLETE.
    """

    sitting: Sitting | None
    finished: Sequence[Sitting] = ()
    more: bool = False
    why: str = ""


def places(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """Returns every place that somebody has, with the number of saved answers."""
    query = (
        "SELECT form, slot, state, seen, (SELECT count(*) FROM answers WHERE answers.sitting = sittings.sitting) "
        "AS answers FROM sittings WHERE state != ?"
    )
    return connection.execute(query, [ABANDONED]).fetchall()


def known_sitting(connection: sqlite3.Connection, sitting: str) -> Sitting:
    """Returns a sitting by its name. It raises a RefusedError if there is none."""
    row = connection.execute("SELECT * FROM sittings WHERE sitting = ?", [sitting]).fetchone()
    if row is None:
        raise RefusedError(403, "this session is not known here; open your link again")
    return as_sitting(connection, row)


def rows_of_rater(connection: sqlite3.Connection, rater: str) -> list[sqlite3.Row]:
    """Returns the rows of all sittings of a rater."""
    return connection.execute("SELECT * FROM sittings WHERE rater = ? ORDER BY started, form", [rater]).fetchall()


def as_sitting(connection: sqlite3.Connection, row: sqlite3.Row) -> Sitting:
    """Makes a sitting of its row."""
    trials = connection.execute("SELECT trial FROM answers WHERE sitting = ? ORDER BY trial", [row["sitting"]])
    return Sitting(
        id=row["sitting"],
        form=row["form"],
        slot=row["slot"],
        practice=bool(row["practice"]),
        turn=row["turn"],
        state=row["state"],
        code=row["code"] or "",
        redirect=row["redirect"],
        answered=tuple(trial for (trial,) in trials),
    )
