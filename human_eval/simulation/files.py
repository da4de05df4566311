"""Writes simulated sittings as the files that each service would give."""

from __future__ import annotations

import collections
import csv
import datetime
import io
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from xml.sax.saxutils import escape

from human_eval.answers import join, ratings, settling
from human_eval.answers.key import AnswerKey
from human_eval.answers.ratings import Rating
from human_eval.answers.submissions import from_result
from human_eval.folder import rater_ids
from human_eval.server import database as server_database

_NAMESPACE = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2005-10-01/QuestionFormAnswers.xsd"
_BEFORE = (
    *("HITId", "HITTypeId", "Title", "MaxAssignments", "Reward", "CreationTime"),
    *("AssignmentId", "WorkerId", "AssignmentStatus", "AcceptTime"),
)
_ANSWER_SECONDS = 5
_PACIFIC = datetime.timezone(datetime.timedelta(hours=-7))


def write_all(out: pathlib.Path, results: Sequence[Mapping[str, Any]], study: str, salt: bytes) -> None:
    """Writes static/*.json, mturk.csv, turkle.csv, mturk_api.json and server.sqlite.

    Args:
      out: an existing folder.
      results: results from `sittings.simulate`.
      study: the study's name.
      salt: the study's salt, for the raters in the database.
    """
    (out / "static").mkdir(exist_ok=True)
    for result in results:
        name = f"answers-form{result['form']}-{result['rater']}.json"
        (out / "static" / name).write_text(static_file(result))
    (out / "mturk.csv").write_bytes(mturk_csv(results))
    (out / "turkle.csv").write_bytes(turkle_csv(results))
    (out / "mturk_api.json").write_text(mturk_api(results))
    write_database(out / "server.sqlite", results, study, salt)


def write_table(path: pathlib.Path, results: Iterable[Mapping[str, Any]], key: AnswerKey, salt: bytes) -> None:
    """Writes the table of ratings that ingesting the results would give."""
    rows: list[Rating] = []
    for result in results:
        submission = from_result(result, source="table", where=str(path))
        rows += join.rows_of(submission, key, salt)
    ratings.write(path, settling.settle(rows))


def static_file(result: Mapping[str, Any]) -> str:
    """Makes the file that a rater saves from the static page. It has no assignment."""
    return json.dumps({name: value for name, value in result.items() if name != "assignment"}, indent=1)


def mturk_csv(results: Sequence[Mapping[str, Any]]) -> bytes:
    """Makes the requester site's CSV. Its columns for trials are sorted as text, and its times are Pacific.

    The cells of Approve and Reject are missing.
    """
    longest = max(len(result["trials"]) for result in results)
    trials = [f"trial{place + 1}" for place in range(longest)]
    answers = sorted(f"Answer.{name}" for name in ("form", "simulated", *trials))
    header = [*_BEFORE, "SubmitTime", *answers, "Approve", "Reject"]
    rows: list[list[str]] = []
    for result in results:
        fields = {f"Answer.trial{place + 1}": json.dumps(trial) for place, trial in enumerate(result["trials"])}
        fields["Answer.form"] = str(result["form"])
        fields["Answer.simulated"] = json.dumps(result["simulated"])
        time = _finished(result).astimezone(_PACIFIC).strftime("%a %b %d %H:%M:%S PDT %Y")
        before = _columns(result, time, worker=result["rater"])
        rows.append([*before.values(), time, *(fields.get(name, "") for name in answers)])
    return _csv(header, rows, csv.QUOTE_ALL)


def turkle_csv(results: Sequence[Mapping[str, Any]]) -> bytes:
    """Makes a Turkle server's CSV. It has the page's whole result in one column, and times in UTC."""
    header = [*_BEFORE, "SubmitTime", "Turkle.Username", "Input.form", "Answer.result"]
    rows: list[list[str]] = []
    for result in results:
        time = _finished(result).strftime("%a %b %d %H:%M:%S UTC %Y")
        before = _columns(result, time, worker=result["rater"])
        rows.append([*before.values(), time, result["rater"], str(result["form"]), static_file(result)])
    return _csv(header, rows, csv.QUOTE_ALL)


def mturk_api(results: Sequence[Mapping[str, Any]]) -> str:
    """Makes the JSON of ListAssignmentsForHIT. Every second answer looks as crowd-form writes it (`taskAnswers`)."""
    assignments = []
    for number, result in enumerate(results):
        text = static_file(result)
        field, value = ("result", text) if number % 2 else ("taskAnswers", json.dumps([{"result": json.loads(text)}]))
        answer = f"<QuestionIdentifier>{field}</QuestionIdentifier><FreeText>{escape(value)}</FreeText>"
        document = (
            f'<?xml version="1.0" encoding="UTF-8"?><QuestionFormAnswers xmlns="{_NAMESPACE}"><Answer>{answer}</Answer>'
        )
        assignments.append(
            {
                "AssignmentId": result["assignment"],
                "WorkerId": result["rater"],
                "HITId": f"H{result['form']}",
                "AssignmentStatus": "Submitted",
                "SubmitTime": str(_finished(result)),
                "Answer": document + "</QuestionFormAnswers>",
            }
        )
    return json.dumps({"NumResults": len(assignments), "Assignments": assignments}, indent=1)


def write_database(path: pathlib.Path, results: Sequence[Mapping[str, Any]], study: str, salt: bytes) -> None:
    """Writes a database of the study server in which every sitting is finished."""
    database = server_database.Database(path, {"study": study, "pilot": "0", "simulated": "1"})
    places: collections.Counter = collections.Counter()
    with database.transaction() as connection:
        for result in results:
            sitting, form, now = result["assignment"], result["form"], _finished(result).timestamp()
            rater = rater_ids.rater(salt, result["rater"])
            known = {"sitting": sitting, "rater": rater, "form": form, "slot": places[form], "turn": 1}
            known |= {"practice": True, "started": now - 3600, "seen": now, "finished": now, "code": "made-up"}
            known |= {"state": server_database.FINISHED, "page": json.dumps({"comment": ""})}
            columns = ", ".join(known)
            values = ", ".join("?" * len(known))
            connection.execute(f"INSERT INTO sittings ({columns}) VALUES ({values})", list(known.values()))
            trials = result["trials"]
            times = [now - _ANSWER_SECONDS * (len(trials) - place) for place in range(len(trials))]
            rows = [(sitting, t["trial"], at, json.dumps(t)) for t, at in zip(trials, times, strict=True)]
            connection.executemany("INSERT INTO answers VALUES (?, ?, ?, ?)", rows)
            places[form] += 1
    database.close()


def _finished(result: Mapping[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromisoformat(result["finished"])


def _columns(result: Mapping[str, Any], time: str, *, worker: str) -> dict[str, str]:
    values = (
        f"H{result['form']}",
        "T1",
        "Which image has fake colors?",
        "5",
        "$1.25",
        time,
        result["assignment"],
        worker,
    )
    return dict(zip(_BEFORE, (*values, "Submitted", time), strict=True))


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]], quoting: Literal[0, 1]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n", quoting=quoting)
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue().encode()
