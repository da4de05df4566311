"""Reads the study server's database. Finished sittings become submissions, and the others are listed as unfinished.

The file is only read. A running server may have it open. You can also use a copy of the file, together with the file
...-wal beside it if there is one.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import json
import math
import pathlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence

from coltran.errors import UserError
from human_eval.answers.submissions import Submission, from_result, unreadable
from human_eval.folder import rater_ids
from human_eval.server.database import FINISHED

SOURCE = "server"
MAGIC = b"SQLite format 3\0"


def submissions(data: bytes, where: str) -> Iterator[Submission]:
    """Yields one submission for each sitting. An unfinished sitting has no answers, and its submission says so.

    Args:
      data: the beginning of the file.
      where: the path, because SQLite needs the file itself.

    Raises:
      UserError: the file is not a database of the study server, or it is damaged.
    """
    if not data.startswith(MAGIC):
        raise UserError(f"{where}: is no SQLite database; give the file private/server.sqlite of a study")
    try:
        with _read_only(pathlib.Path(where)) as connection:
            yield from _submissions(connection, where)
    except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{where}: is no whole database of the study server ({error}); copy it again") from None


def _submissions(connection: sqlite3.Connection, where: str) -> Iterator[Submission]:
    [fault] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if fault != "ok":
        raise ValueError(fault)
    known = dict(connection.execute("SELECT name, value FROM about").fetchall())
    marks = {"pilot": known["pilot"] == "1", "simulated": known.get("simulated") == "1"}
    hashed = known["version"] != "1"  # Version 1 held clear names.
    answers: dict[str, list[tuple[float, str]]] = collections.defaultdict(list)
    for sitting, saved, answer in connection.execute(
        "SELECT sitting, saved, answer FROM answers ORDER BY saved, trial"
    ):
        answers[sitting].append((saved, answer))
    query = "SELECT sitting, rater, form, state, started, finished, page FROM sittings ORDER BY started, sitting"
    for sitting, rater, form, state, started, finished, page in connection.execute(query).fetchall():
        about = {"source": SOURCE, "where": f"{where}, sitting {sitting}", "assignment": sitting}
        about["rater"] = rater_ids.code(rater) if hashed else rater
        done = state == FINISHED
        if done:
            about["submitted"] = datetime.datetime.fromtimestamp(int(finished), datetime.UTC).strftime("%FT%TZ")
        problem = "" if done else f"{about['where']}: {state}, {len(answers[sitting])} answers that do not count"
        try:
            # Made-up answers take no time.
            begun = math.inf if marks["simulated"] else started
            trials = list(_with_times(answers[sitting], begun)) if done else []
            about_end = json.loads(page) if page else {}
            result = {**marks, "form": form, "trials": trials, "comment": about_end.get("comment")}
            result["color_vision"] = about_end.get("color_vision")
            yield from_result(result, unfinished=problem, **about)
        except (ValueError, AttributeError, TypeError) as error:
            yield unreadable(f"{about['where']}: is damaged ({error})", about)


def _with_times(answers: Sequence[tuple[float, str]], started: float) -> Iterator[dict[str, object]]:
    """Yields the answers with the time that each took by the server's clock."""
    before = started
    for saved, text in answers:
        answer = json.loads(text)
        if saved >= before:
            answer["elapsed_ms"] = round(1000 * (saved - before), 1)
            before = saved
        yield answer


@contextlib.contextmanager
def _read_only(path: pathlib.Path) -> Iterator[sqlite3.Connection]:
    with contextlib.ExitStack() as stack:
        connection = _connect(path)
        try:
            connection.execute("SELECT 1 FROM about")
        except sqlite3.OperationalError:
            # SQLite cannot read a log beside the file without writing, and the folder may be read-only. We read a copy.
            connection.close()
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for end in ("", "-wal"):
                if (source := path.with_name(path.name + end)).exists():
                    shutil.copyfile(source, folder / ("copy" + end))
            connection = _connect(folder / "copy")
        stack.callback(connection.close)
        yield connection


def _connect(path: pathlib.Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 20000")
    connection.execute("BEGIN")  # All queries see the same moment of a running server.
    return connection
