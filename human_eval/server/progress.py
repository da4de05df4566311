"""Shows the organizer how far a study is.

It shows counts and comments, but never a rater's name or which image is real.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import json
import sqlite3
from collections.abc import Sequence

from human_eval.folder.forms import TEST, Form
from human_eval.folder.spreadsheet import csv_bytes
from human_eval.server.database import ABANDONED, FINISHED, RUNNING, Database
from human_eval.server.pages import fill

_COMMENTS = 20
_EXPIRED = "expired"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """The number of places in each state. An abandoned sitting holds no place."""

    needed: int
    finished: int
    running: int
    expired: int
    free: int
    abandoned: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """The numbers of the progress page.

    Attributes:
      forms: the number of each form, counted from 1, and its places.
      total: the places of all forms.
      fewest_ratings, most_ratings: ratings of a pair from finished sittings.
      answers: number of saved answers.
      times: when each finished sitting started and ended, sorted by the end.
      comments: the comments, newest first.
    """

    forms: tuple[tuple[int, Places], ...]
    total: Places
    fewest_ratings: int
    most_ratings: int
    answers: int
    times: tuple[tuple[float, float], ...]
    comments: tuple[str, ...]


def measure(database: Database, forms: Sequence[Form], *, lease: float, now: float) -> Progress:
    """Measures how far the study is.

    Args:
      database: the server's database.
      forms: the design's forms.
      lease: seconds without a sign of life after which a running sitting has expired.
      now: the time by the clock that leases follow.
    """
    with database.transaction() as connection:
        sittings = connection.execute("SELECT form, state, seen, started, finished, page FROM sittings").fetchall()
        [answers] = connection.execute("SELECT count(*) FROM answers").fetchone()
    by_form = _states(sittings, oldest=now - lease)
    rows = [(form.number + 1, _places(form, by_form[form.number])) for form in forms]
    ratings: collections.Counter[tuple[str, str, int]] = collections.Counter()
    for form in forms:
        for trial in form.trials:
            if trial.kind == TEST:
                ratings[trial.model, trial.key, trial.sample] += by_form[form.number][FINISHED]
    done = sorted((row for row in sittings if row["state"] == FINISHED), key=lambda row: row["finished"])
    comments = [json.loads(row["page"])["comment"] for row in done]
    names = [field.name for field in dataclasses.fields(Places)]
    return Progress(
        forms=tuple(rows),
        total=Places(**{name: sum(getattr(places, name) for _, places in rows) for name in names}),
        fewest_ratings=min(ratings.values(), default=0),
        most_ratings=max(ratings.values(), default=0),
        answers=answers,
        times=tuple((row["started"], row["finished"]) for row in done),
        comments=tuple([text for text in comments if text.strip()][-_COMMENTS:][::-1]),
    )


def _states(sittings: Sequence[sqlite3.Row], *, oldest: float) -> dict[int, collections.Counter[str]]:
    """Counts the sittings of each form by state. A running one that was last seen before `oldest` has expired."""
    found: dict[int, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in sittings:
        found[row["form"]][_EXPIRED if row["state"] == RUNNING and row["seen"] < oldest else row["state"]] += 1
    return found


def _places(form: Form, states: collections.Counter[str]) -> Places:
    held = states[FINISHED] + states[RUNNING] + states[_EXPIRED]
    return Places(
        needed=form.raters,
        finished=states[FINISHED],
        running=states[RUNNING],
        expired=states[_EXPIRED],
        free=form.raters - held,
        abandoned=states[ABANDONED],
    )


def time_left(progress: Progress) -> str:
    """Estimates in words how long the study will still take at the pace so far."""
    needed, done, times = progress.total.needed, progress.total.finished, progress.times
    if done >= needed:
        return "none: the study is complete"
    if len(times) < 2:
        return "not known before two sittings are finished"
    hours = (times[-1][1] - min(start for start, _ in times)) / len(times) * (needed - done) / 3600
    minutes = sum(end - start for start, end in times) / len(times) / 60
    return f"about {hours:.1f} hours at the pace so far; a sitting takes {minutes:.1f} minutes on average"


def forms_csv(progress: Progress) -> bytes:
    """Returns the places of each form as CSV. Forms are counted from 1."""
    names = [field.name for field in dataclasses.fields(Places)]
    return csv_bytes(["form", *names], ([form, *dataclasses.astuple(places)] for form, places in progress.forms))


def codes_csv(database: Database) -> bytes:
    """Returns the completion codes of finished sittings as CSV, with their times and no names, for payments."""
    with database.transaction() as connection:
        query = "SELECT code, form + 1, started, finished FROM sittings WHERE state = ? ORDER BY finished, code"
        rows = [tuple(row) for row in connection.execute(query, [FINISHED]).fetchall()]
    return csv_bytes(("code", "form", "started", "finished"), ((c, f, _utc(s), _utc(e)) for c, f, s, e in rows))


def _utc(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%FT%TZ")


def render(title: str, progress: Progress, problems: Sequence[str], *, pilot: bool, token: str) -> bytes:
    """Makes the progress page.

    Args:
      title: title of the study.
      progress: numbers of the study.
      problems: recent errors, newest first.
      pilot: whether the server runs a pilot.
      token: the organizer's token, for links to downloads.
    """
    return fill(
        "progress.html",
        title=f"Progress: {title}",
        progress=progress,
        time_left=time_left(progress),
        problems=problems,
        pilot=pilot,
        token=token,
    )
