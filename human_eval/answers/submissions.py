"""Defines what one rater handed in for one form, before it is joined with the answer key.

Every format is read into this.
"""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import json
import re
from collections.abc import Mapping

from coltran.errors import UserError
from human_eval.folder.strict_json import parse_json

UNSET = ("", "unset", "undefined", "null")
_FIELDS = ("form", "rater", "finished", "assignment", "consent", "color_vision", "comment")
_JUST_SUBMITTED = ("submitted", "completed", "")
_MAX_NUMBER = 2**53
_MAX_NAME = 64
_MAX_COMMENT = 4000
_TRIAL_FIELD = re.compile(r"trial([1-9]\d{0,3})")
# The services' time stamps use these zones. We do not guess other zones.
_ZONES = {"PDT": -7, "PST": -8, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """One trial as the page logged it.

    Attributes:
      place: place of the trial in the form, from 0.
      trial: number of the trial; None if the source lost it.
      shown: the two files in the order shown.
      fake: the file that was called fake; empty if none was.
      response_ms, exposures: measured milliseconds, with one exposure each for the first and second image.
      restarts: how often the trial was shown again.
      interrupted: whether the last showing was interrupted too.
      elapsed_ms: time by the server's clock from the answer before, or from the sitting's start, to this answer; None
        if no server measured it.
    """

    place: int
    trial: int | None = None
    shown: tuple[str, ...] = ()
    fake: str = ""
    response_ms: float | None = None
    exposures: tuple[float | None, ...] = ()
    restarts: int = 0
    interrupted: bool = False
    elapsed_ms: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission:
    """One sitting.

    Attributes:
      source: name of the format.
      where: file and row, for messages.
      assignment: the service's number of the sitting; empty if the format has none.
      rater: the rater's name or number; empty if the format has none.
      form: number of the form; None if it is unknown.
      submitted: UTC, ISO 8601 to the second; empty if it could not be read.
      answers: the answers in the form's order.
      problem: why the submission could not be read; empty if it was read.
      unfinished: what is known about an unfinished sitting; empty if the sitting was finished.
      pilot: whether it belongs to a trial run, whose answers never count.
      simulated: whether `simulate` made it up.
      comment: what the rater wrote at the end.
      status: what the service says of the assignment, such as Approved or Rejected; empty if it is just submitted.
      vision: what the rater said of their color vision; empty if they were not asked.
      sitting_ms: time from acceptance or consent to the end; None if it is unknown.
    """

    source: str
    where: str
    assignment: str
    rater: str
    form: int | None
    submitted: str
    answers: tuple[Answer, ...]
    problem: str = ""
    unfinished: str = ""
    pilot: bool = False
    simulated: bool = False
    comment: str = ""
    status: str = ""
    vision: str = ""
    sitting_ms: float | None = None


def from_result(result: object, **about: str) -> Submission:
    """Makes a submission from the JSON object of the rater page.

    Args:
      result: an object with `trials`, `form`, `rater`, `finished`, `pilot`, `simulated`, `comment`.
      about: `source` and `where`, perhaps `unfinished`, and `assignment`, `rater`, `submitted`, `status`, `accepted`
        and `handed_in` (both times) if the service gives them. The service takes precedence over the page.

    Raises:
      UserError: the result is not such an object.
    """
    if not isinstance(result, dict) or not isinstance(result.get("trials"), list):
        raise UserError(f"{about['where']}: expected the rater page's answers (an object with a list `trials`)")
    simulated = result.get("simulated") is True
    begun = about.get("accepted") or _text(result.get("consent"))
    return Submission(
        source=about["source"],
        where=about["where"],
        assignment=" ".join((about.get("assignment") or _text(result.get("assignment"))).split())[:_MAX_NAME],
        rater=(about.get("rater") or _text(result.get("rater"))).strip(),
        form=_whole(result.get("form")),
        submitted=about.get("submitted") or utc_time(_text(result.get("finished"))),
        answers=tuple(_answer(place, trial) for place, trial in enumerate(result["trials"])),
        unfinished=about.get("unfinished", ""),
        pilot=result.get("pilot") is True,
        simulated=simulated,
        comment=_text(result.get("comment")).strip()[:_MAX_COMMENT],
        status=_status(about.get("status", "")),
        vision=_text(result.get("color_vision")).strip().lower()[:_MAX_NAME],
        # Made-up raters take no time.
        sitting_ms=None if simulated else _duration(begun, about.get("handed_in") or _text(result.get("finished"))),
    )


def from_fields(fields: Mapping[str, str], **about: str) -> Submission:
    """Makes a submission from the fields of an HTML form, in any order.

    Either the field `result` holds the page's JSON, or each field `trial<place>` (from 1) holds one trial's JSON, or
    the field `taskAnswers` (crowd-form) holds a JSON list with one object of such fields.

    Raises:
      UserError: there is no such field, or it does not hold JSON.
    """
    if "taskAnswers" in fields:
        inner = parse_json(fields["taskAnswers"], about["where"])
        if not isinstance(inner, list) or len(inner) != 1 or not isinstance(inner[0], dict):
            raise UserError(f"{about['where']}: expected one object in the list taskAnswers")
        fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in inner[0].items()}
    if "result" in fields:
        return from_result(parse_json(fields["result"], about["where"]), **about)
    places = {int(found[1]): text for name, text in fields.items() if (found := _TRIAL_FIELD.fullmatch(name))}
    if not places:
        raise UserError(f"{about['where']}: has neither a field `result` nor fields `trial1`, `trial2`, ...")
    # We sort by number, because services sort the columns as text, trial10 before trial2. A gap is an open trial.
    texts = [places.get(at, "").strip() for at in range(1, max(places) + 1)]
    trials = [None if text in UNSET else parse_json(text, about["where"]) for text in texts]
    named = {name: fields.get(name, "") for name in _FIELDS}
    made_up = fields.get("simulated") == "true"
    return from_result({**named, "simulated": made_up, "trials": trials}, **about)


def from_rater(fields: Mapping[str, str], **about: str) -> Submission:
    """Works like `from_fields`, but turns an error into a submission with a `problem`.

    So an error of one rater does not stop the others.
    """
    try:
        return from_fields(fields, **about)
    except UserError as error:
        return unreadable(str(error), about)


def unreadable(problem: str, about: Mapping[str, str]) -> Submission:
    """Makes a submission without answers that says why they cannot be read."""
    return dataclasses.replace(from_result({"trials": []}, **about), problem=problem)


def utc_time(text: str) -> str:
    """Converts a time to ISO 8601 in UTC, to the second. Returns an empty text if it cannot be read or has no zone.

    It reads ISO 8601, seconds or milliseconds since 1970 (AWS's command line writes these), e-mail's times, and
    Mechanical Turk's `Mon Oct 30 19:42:32 PDT 2017`.
    """
    found = _time(text.strip())
    if found is None or found.tzinfo is None:
        return ""
    try:
        return found.astimezone(datetime.UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return ""


def _time(text: str) -> datetime.datetime | None:
    for read in (datetime.datetime.fromisoformat, _epoch, _service_time, email.utils.parsedate_to_datetime):
        try:
            return read(re.sub(r" ?(UTC|GMT)$", "+00:00", text) if read == datetime.datetime.fromisoformat else text)
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def _epoch(text: str) -> datetime.datetime:
    value = float(text)
    if not 10**8 < value < 10**14:
        raise ValueError(text)
    return datetime.datetime.fromtimestamp(value if value < 10**11 else value / 1000, datetime.UTC)


def _service_time(text: str) -> datetime.datetime:
    words = text.split()
    if len(words) != 6 or words[4] not in _ZONES:
        raise ValueError(text)
    found = datetime.datetime.strptime(" ".join([*words[1:4], words[5]]), "%b %d %H:%M:%S %Y")
    return found.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=_ZONES[words[4]])))


def _duration(begin: str, end: str) -> float | None:
    """Returns the milliseconds between two times of one clock, None if one of them is not known."""
    first, last = _time(begin.strip()), _time(end.strip())
    if first is None or last is None or (first.tzinfo is None) != (last.tzinfo is None):
        return None
    return (last - first).total_seconds() * 1000


def _status(text: str) -> str:
    word = " ".join(text.split())[:_MAX_NAME]
    return "" if word.lower() in _JUST_SUBMITTED else word.capitalize()


def _answer(place: int, trial: object) -> Answer:
    if not isinstance(trial, dict):
        return Answer(place=place)
    shown, exposures = _list(trial.get("shown")), _list(trial.get("exposures"))
    fake = _text(trial.get("fake"))
    return Answer(
        place=place,
        trial=_whole(trial.get("trial")),
        shown=tuple(map(_text, shown)),
        fake="" if fake in UNSET else fake,
        response_ms=_milliseconds(trial.get("response_ms")),
        exposures=tuple(_milliseconds(e.get("actual_ms")) if isinstance(e, dict) else None for e in exposures),
        restarts=_whole(trial.get("restarts")) or 0,
        interrupted=trial.get("interrupted") is True,
        elapsed_ms=_milliseconds(trial.get("elapsed_ms")),
    )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        return ""
    # Half a surrogate pair cannot be hashed or printed.
    return str(value).encode("utf-8", "replace").decode()


def _whole(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _MAX_NUMBER else None


def _milliseconds(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MAX_NUMBER else None  # NaN also gives None.
