"""Joins submissions with the private answer key into ratings. A rating that cannot count says why."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from human_eval.answers import ratings, server as server_answers
from human_eval.answers.key import AnswerKey, Pair
from human_eval.answers.ratings import Rating
from human_eval.answers.submissions import Answer, Submission
from human_eval.folder import rater_ids

UNSET = "unset answer"
UNKNOWN_TRIAL = "unknown trial"
UNKNOWN_ANSWER = "unknown answer"
OTHER_FORM = "trial of another form"
NO_RATER = "no rater"
REUSED = "reused assignment"
REPEAT = "repeat of rater and image"
STATUS = "assignment is "  # This begins the reason for an assignment that was rejected, returned or timed out.
_NAMES = 20
_MANY_FLIPS = 0.1


def summary_path(table: pathlib.Path) -> pathlib.Path:
    """Returns the path of a table's summary, which lies beside the table. A pilot has a file of its own."""
    return table.with_name("pilot_ingest.json" if table.name == ratings.IN_STUDY_PILOT.name else "ingest.json")


def who_and_where(submission: Submission, salt: bytes, server: str = "") -> tuple[str, str]:
    """Returns the rater's hash (empty if the submission names nobody) and the assignment.

    Args:
      submission: the submission.
      salt: the study's salt.
      server: the name of the server it comes from, if several servers number from 1.
    """
    who = rater_ids.rater(salt, submission.rater, server) if submission.rater else ""
    if submission.assignment:
        return who, f"{server}:{submission.assignment}" if server else submission.assignment
    # The static page has no assignments. There, one sitting is one rater with one form and one end time.
    sitting = f"{submission.rater}|{submission.form}|{submission.submitted}"
    return who, rater_ids.hashed(salt, "assignment", sitting)


def rows_of(submission: Submission, key: AnswerKey, salt: bytes, server: str = "") -> Iterator[Rating]:
    """Makes the ratings of a submission. If a rating by itself cannot count, it has the reason.

    The arguments are those of `who_and_where`, and the answer key.
    """
    who, assignment = who_and_where(submission, salt, server)
    nature = f"{ratings.MADE_UP} " if submission.simulated else ""
    nature += f"{ratings.PILOT} " if submission.pilot else ""
    for answer in submission.answers:
        pair = _pair(answer, submission, key)
        reason = _reason(answer, pair, submission)
        chosen, fooled, truth_first = "", None, None
        if pair and set(answer.shown) == {pair.truth, pair.colorized} and len(answer.shown) == 2:
            # We take the order that was logged, whatever the design or the flip said.
            truth_first = answer.shown[0] == pair.truth
            if answer.fake in answer.shown:
                chosen = ratings.PLACES[answer.shown.index(answer.fake)]
                fooled = answer.fake == pair.truth
        first, second, *_ = (*answer.exposures, None, None)
        yield Rating(
            study=key.study,
            rater=who,
            assignment=assignment,
            form=pair.form if pair else submission.form,
            trial=pair.trial if pair else answer.trial,
            kind=pair.kind if pair else "",
            model=pair.model if pair else "",
            key=pair.key if pair else "",
            sample=pair.sample if pair else None,
            truth_first=truth_first,
            chosen=chosen,
            fooled=fooled,
            response_ms=answer.response_ms,
            first_ms=first,
            second_ms=second,
            voided=answer.interrupted,
            repeated=answer.restarts > 0,
            submitted=submission.submitted,
            source=nature + submission.source,
            excluded=reason,
            status=submission.status,
            vision=submission.vision,
            place=answer.place,
            elapsed_ms=answer.elapsed_ms,
            sitting_ms=submission.sitting_ms,
        )


def _pair(answer: Answer, submission: Submission, key: AnswerKey) -> Pair | None:
    if answer.trial is not None:
        pair = key.pairs.get(answer.trial)
        return pair if pair and set(answer.shown) <= {pair.truth, pair.colorized} else None
    listed = key.listed.get(submission.form, ()) if submission.form is not None else ()
    # An unset field of a service lost its trial's number, but it still has its place in the form.
    return key.pairs.get(listed[answer.place][0]) if answer.place < len(listed) and not answer.shown else None


def _reason(answer: Answer, pair: Pair | None, submission: Submission) -> str:
    if pair is None:
        return UNSET if answer.trial is None and not answer.shown else UNKNOWN_TRIAL
    if submission.form is not None and pair.form != submission.form:
        return OTHER_FORM
    if not answer.fake:
        return UNSET
    if len(answer.shown) != 2 or len(set(answer.shown)) != 2 or answer.fake not in answer.shown:
        return UNKNOWN_ANSWER
    return "" if submission.rater else NO_RATER


def summarize(table: Sequence[Rating], submissions: Sequence[Submission], key: AnswerKey) -> dict[str, Any]:
    """Counts the ratings of the whole table, and lists the problems of the files that were read this time."""
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    for row in table:
        if row.excluded:
            reasons[row.excluded].append(f"assignment {row.assignment}, form {row.form}, trial {row.trial}")
    test = [row for row in table if row.counts]
    problems = {
        "unreadable submissions": [s.problem for s in submissions if s.problem],
        "unfinished sittings": [s.unfinished for s in submissions if s.unfinished],
        "submissions without a readable time": [s.where for s in submissions if not s.submitted and not s.unfinished],
        "submissions whose order is not the page's flip": [s.where for s in submissions if _unlike_the_flip(s, key)],
    }
    return {
        "study": key.study,
        "rows": len(table),
        "count": len(test),
        "raters": len({row.rater for row in table if row.rater}),
        "assignments": len({row.assignment for row in table}),
        "truth_first": sum(bool(row.truth_first) for row in test),
        "voided": sum(row.voided for row in table),
        "repeated": sum(row.repeated for row in table),
        "kinds": dict(collections.Counter(row.kind or "unknown" for row in table)),
        "do_not_count": {name: _named(found) for name, found in reasons.items()},
        "submissions_read": len(submissions),
        "problems": {name: _named(sorted(set(found))) for name, found in problems.items() if found},
    }


def _named(found: Sequence[str]) -> dict[str, object]:
    return {"count": len(found), "first": list(found[:_NAMES])}


def _unlike_the_flip(submission: Submission, key: AnswerKey) -> bool:
    """Says whether the shown orders are neither the listed ones nor flipped by the hash of rater or assignment."""
    listed = {trial: files for form in key.listed.values() for trial, *files in form}
    known = [(a.trial, list(a.shown) != listed[a.trial]) for a in submission.answers if a.trial in listed and a.shown]
    wrong = [sum(flipped for _, flipped in known)]
    if submission.source == server_answers.SOURCE:
        wrong.append(len(known) - wrong[0])  # Our server flips every pair for every second rater.
    for name in (submission.rater, submission.assignment):
        wrong.append(sum(flipped != rater_ids.is_flipped(name, trial) for trial, flipped in known))
    return min(wrong) > _MANY_FLIPS * len(known)
