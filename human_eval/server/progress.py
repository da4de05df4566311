"""How far a study is, for its organizer: counts and comments, never a rater's name or which image is real."""

from __future__ import annotations

import collections
import html
import json
from collections.abc import Sequence

from human_eval.folder.forms import TEST, Form
from human_eval.server.database import ABANDONED, FINISHED, RUNNING, Database
from human_eval.server.pages import page, progress_rows

_COMMENTS = 20
_COLUMNS = ("form*", "sittings needed", "finished", "running", "expired", "free", "abandoned")


def counts(database: Database, forms: Sequence[Form], *, lease: float, now: float) -> dict[str, object]:
    """The numbers of the progress page.

    Returns:
      `forms` (rows of form from 1, needed, finished, running, expired, free, abandoned), `total` (their sums),
      `ratings` (the fewest and most of a pair, by finished sittings), `answers` saved, `times` (when the finished
      sittings started and ended, by the end), and the newest `comments`.
    """
    with database.transaction() as connection:
        sittings = connection.execute("SELECT form, state, seen, started, finished, page FROM sittings").fetchall()
        [answers] = connection.execute("SELECT count(*) FROM answers").fetchone()
    found: dict[int, collections.Counter] = collections.defaultdict(collections.Counter)
    for row in sittings:
        state = "expired" if row["state"] == RUNNING and row["seen"] < now - lease else row["state"]
        found[row["form"]][state] += 1
    rows = []
    ratings: collections.Counter = collections.Counter()
    for form in forms:
        has = found[form.form]
        held = [has[state] for state in (FINISHED, RUNNING, "expired")]
        rows.append((form.form + 1, form.raters, *held, form.raters - sum(held), has[ABANDONED]))
        for trial in form.trials:
            if trial.kind == TEST:
                ratings[trial.model, trial.key, trial.sample] += has[FINISHED]
    done = sorted((row for row in sittings if row["state"] == FINISHED), key=lambda row: row["finished"])
    comments = [json.loads(row["page"])["comment"] for row in done]
    return {
        "forms": rows,
        "total": [sum(column) for column in list(zip(*rows, strict=True))[1:]],
        "ratings": (min(ratings.values(), default=0), max(ratings.values(), default=0)),
        "answers": answers,
        "times": [(row["started"], row["finished"]) for row in done],
        "comments": [text for text in comments if text.strip()][-_COMMENTS:][::-1],
    }


def time_left(found: dict[str, object]) -> str:
    """In words, at the pace so far."""
    needed, done, times = found["total"][0], found["total"][1], found["times"]
    if done >= needed:
        return "none: the study is complete"
    if len(times) < 2:
        return "not known before two sittings are finished"
    hours = (times[-1][1] - min(start for start, _ in times)) / len(times) * (needed - done) / 3600
    minutes = sum(end - start for start, end in times) / len(times) / 60
    return f"about {hours:.1f} hours at the pace so far; a sitting takes {minutes:.1f} minutes on average"


def render(title: str, found: dict[str, object], problems: Sequence[str], *, pilot: bool) -> bytes:
    """The progress page."""
    needed, finished, running, expired, free, abandoned = found["total"]
    fewest, most = found["ratings"]
    lines = [
        f"{finished} of {needed} sittings are finished, {running} are running, {expired} have expired (their places go "
        f"to the next raters who come), {free} places are free; {abandoned} sittings were abandoned",
        f"each pair has {fewest} to {most} ratings of finished sittings; {found['answers']} answers are saved",
        f"time left: {time_left(found)}",
    ]
    body = "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"
    if pilot:
        body = "<p><strong>This is a pilot; its answers never count.</strong></p>" + body
    for name, texts in (("Recent errors", problems), ("Newest comments", found["comments"])):
        entries = "".join(f"<li>{html.escape(text)}</li>" for text in texts) or "<li>none</li>"
        body += f"<h2>{name}</h2><ul>{entries}</ul>"
    body += "<h2>Forms</h2><p>* counted from 1, as in file names and ?form=; tables of ratings count from 0</p>"
    return page(f"Progress: {title}", body + progress_rows(_COLUMNS, found["forms"]))
