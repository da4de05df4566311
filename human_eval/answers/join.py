"""Read raters' answers, join them with the private answer key, and add them to one table of ratings.

    coltran-study ingest --study study answers-form1-ann.json Batch_12_results.csv

reads the static page's files, the study server's database, Mechanical Turk's results CSV and API answers, and Turkle's
results CSV. Nothing is guessed: what cannot count stays in the table with its reason, and is counted and named.
Ingesting a file again changes nothing. Answers of a pilot go to private/pilot_ratings.csv.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from coltran import cli
from coltran.errors import UserError
from human_eval.answers import comments, ratings
from human_eval.answers import files as answer_files
from human_eval.answers import server as server_answers
from human_eval.answers.key import AnswerKey, Pair, load
from human_eval.answers.ratings import Rating
from human_eval.answers.submissions import Answer, Submission
from human_eval.folder import rater_ids
from human_eval.folder.layout import private_file
from human_eval.scoring import exclusions

UNSET = "unset answer"
UNKNOWN_TRIAL = "unknown trial"
UNKNOWN_ANSWER = "unknown answer"
OTHER_FORM = "trial of another form"
NO_RATER = "no rater"
REUSED = "reused assignment"
REPEAT = "repeat of rater and image"
_ACROSS = (REUSED, REPEAT)  # reasons that depend on the other rows
_NAMES = 20
_MANY_FLIPS = 0.1


def add_options(add) -> None:
    add("answers", nargs="+", metavar="FILE", help="files of answers, of any of the formats")
    add("--study", required=True, metavar="FOLDER", help="study folder of coltran-study export")
    add("--out", metavar="FILE", help="the table, added to (FOLDER/private/ratings.csv, pilot_ratings.csv of a pilot)")
    formats = ("auto", *answer_files.FORMATS)
    add("--format", choices=formats, default="auto", help="what the files are (auto: by their content)")


def run(found: argparse.Namespace) -> None:
    load(found.study)  # a wrong folder is said before answers are looked at
    files = read_files(found.answers, found.format)
    pilot = any(submission.pilot for _, submissions in files for submission in submissions)
    default = pathlib.Path(found.study) / (ratings.IN_STUDY_PILOT if pilot else ratings.IN_STUDY)
    out = pathlib.Path(found.out or default)
    summary = add_to_table(found.study, files, out)
    print(describe(summary))
    rows = [("ratings", out), ("summary", summary_path(out)), ("rules", rules_path(found.study))]
    said = comments.path_beside(out)
    print(cli.table([*rows, ("comments", said)] if said.exists() else rows))


def rules_path(study: str) -> pathlib.Path:
    """Where a study's exclusion rules are kept."""
    return pathlib.Path(study) / exclusions.RULES


def summary_path(table: pathlib.Path) -> pathlib.Path:
    """Where the summary of a table lies: beside it, the pilot's apart from the study's."""
    return table.with_name("pilot_ingest.json" if table.name == ratings.IN_STUDY_PILOT.name else "ingest.json")


def read_files(files: Sequence[str], kind: str = "auto") -> list[tuple[str, list[Submission]]]:
    """(file, its submissions) of each file; raises UserError for one that cannot be read."""
    return [(file, list(answer_files.read_submissions(file, kind))) for file in sorted(set(files))]


def ingest(study: str, files: Sequence[str], out: pathlib.Path, *, kind: str = "auto") -> dict[str, object]:
    """Adds files of answers to the table `out`, and writes `ingest.json` beside it.

    Args:
      study: the study folder.
      files: of answers.
      out: the table; made where it is not there. The exclusion rules are written down too, where nobody has yet.
      kind: a format's name, or `auto`.
    Returns:
      What ingest.json holds: see `summarize`.
    Raises:
      UserError: a file that cannot be read, that has no trial of this study, a table of another study, or answers of
        simulated raters, of a pilot and of the study in one table.
    """
    return add_to_table(study, read_files(files, kind), out)


def add_to_table(study: str, found: Sequence[tuple[str, Sequence[Submission]]], out: pathlib.Path) -> dict[str, object]:
    """As `ingest`, for files that were read by `read_files`."""
    key, salt = load(study), rater_ids.salt(study)
    before = ratings.read(out) if out.exists() else []
    if any(rating.study != key.study for rating in before):
        raise UserError(f"{out}: holds ratings of another study; give --out another file")
    gone = rater_ids.forgotten(study)
    before = [row for row in before if row.rater not in gone]
    rows: list[tuple[str, Rating]] = []  # each with the place where it was read
    for file, submissions in found:
        new = [(one.where, row) for one in submissions for row in rows_of(one, key, salt)]
        if new and all(row.excluded == UNKNOWN_TRIAL for _, row in new):
            raise UserError(f"{file}: none of its {len(new)} answers belongs to {study}; give the study that was shown")
        rows += [(where, row) for where, row in new if row.rater not in gone]
    _refuse_mixture(out, before, rows)
    table = settle([*before, *(row for _, row in rows)])
    ratings.write(out, table)
    exclusions.write_defaults(rules_path(study))
    everything = [submission for _, submissions in found for submission in submissions]
    said = ((*who_and_where(one, salt), str(one.form), one.submitted, one.comment) for one in everything)
    comments.add(comments.path_beside(out), said, without=gone)
    summary = summarize(table, everything, key)
    private_file(summary_path(out), json.dumps(summary, indent=1, sort_keys=True).encode() + b"\n")
    return summary


def _refuse_mixture(out: pathlib.Path, before: Sequence[Rating], rows: Sequence[tuple[str, Rating]]) -> None:
    mixtures = ("made-up answers of `simulate` with real ones", "a pilot's answers with the study's")
    for number, mixture in enumerate(mixtures):
        places = {row.nature[number]: where for where, row in reversed(rows)}  # the first of each
        there = {row.nature[number] for row in before}
        if len(there | set(places)) > 1:
            odd = there != {True}
            other = out if there else places[not odd]
            raise UserError(
                f"{places.get(odd, out)}: would mix {mixture} (of {other}); take it out, or give --out another file"
            )


def who_and_where(submission: Submission, salt: bytes) -> tuple[str, str]:
    """The rater's hash, empty where nobody is named, and the assignment."""
    who = rater_ids.hashed(salt, "rater", submission.rater) if submission.rater else ""
    # The static page has no assignments: one sitting is one rater, form and time of the end.
    sitting = f"{submission.rater}|{submission.form}|{submission.submitted}"
    return who, submission.assignment or rater_ids.hashed(salt, "assignment", sitting)


def rows_of(submission: Submission, key: AnswerKey, salt: bytes) -> Iterator[Rating]:
    """The ratings of a submission, each with the reason why it cannot count, judged by itself."""
    who, assignment = who_and_where(submission, salt)
    nature = f"{ratings.MADE_UP} " if submission.simulated else ""
    nature += f"{ratings.PILOT} " if submission.pilot else ""
    for answer in submission.answers:
        pair = _pair(answer, submission, key)
        reason = _reason(answer, pair, submission)
        chosen, fooled, truth_first = "", None, None
        if pair and set(answer.shown) == {pair.truth, pair.colorized} and len(answer.shown) == 2:
            # The order that was logged, whatever the design or the flip said.
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
        )


def _pair(answer: Answer, submission: Submission, key: AnswerKey) -> Pair | None:
    if answer.trial is not None:
        pair = key.pairs.get(answer.trial)
        return pair if pair and set(answer.shown) <= {pair.truth, pair.colorized} else None
    listed = key.listed.get(submission.form, ())
    # An unset field of a service lost its trial's number, but not its place in the form.
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


def settle(rows: Iterable[Rating]) -> list[Rating]:
    """The table in order, without what was read twice, and with the reasons that rows give one another.

    The same sitting in two files (or formats) is one. An assignment with two raters, two times of submission, or two
    answers to a trial does not count at all. Of several test ratings of one source image by a rater, the first counts.
    """
    distinct: dict[Rating, Rating] = {}
    for row in sorted(rows, key=ratings.order):
        bare = dataclasses.replace(row, excluded="" if row.excluded in _ACROSS else row.excluded)
        distinct.setdefault(dataclasses.replace(bare, source=""), bare)
    table = sorted(distinct.values(), key=ratings.order)
    sittings: dict[str, set] = collections.defaultdict(set)
    answered = collections.Counter((row.assignment, row.trial) for row in table if row.trial is not None)
    for row in table:
        sittings[row.assignment].add((row.rater, row.submitted))
    twice = {assignment for (assignment, _), times in answered.items() if times > 1}
    reused = twice | {assignment for assignment, found in sittings.items() if len(found) > 1}
    seen: set[tuple[str, str]] = set()
    for place, row in enumerate(table):
        if row.excluded:
            continue
        if row.assignment in reused:
            table[place] = dataclasses.replace(row, excluded=REUSED)
        elif row.kind == "test":
            if (row.rater, row.key) in seen:
                table[place] = dataclasses.replace(row, excluded=REPEAT)
            seen.add((row.rater, row.key))
    return table


def summarize(table: Sequence[Rating], submissions: Sequence[Submission], key: AnswerKey) -> dict[str, object]:
    """Counts and names: of the table as a whole, and of the files that were read this time."""
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
    """Whether the orders shown are neither the listed ones, nor flipped by the hash of rater or assignment."""
    listed = {trial: files for form in key.listed.values() for trial, *files in form}
    known = [(a.trial, list(a.shown) != listed[a.trial]) for a in submission.answers if a.trial in listed and a.shown]
    wrong = [sum(flipped for _, flipped in known)]
    if submission.source == server_answers.SOURCE:
        wrong.append(len(known) - wrong[0])  # our server turns every pair for every second rater
    for name in (submission.rater, submission.assignment):
        wrong.append(sum(flipped != rater_ids.is_flipped(name, trial) for trial, flipped in known))
    return min(wrong) > _MANY_FLIPS * len(known)


def describe(summary: Mapping[str, object]) -> str:
    """The summary in lines for people."""
    lines = [
        f"{summary['rows']} ratings of {summary['raters']} raters in {summary['assignments']} sittings; "
        f"{summary['count']} test ratings count, {summary['truth_first']} of them with the truth first"
    ]
    for title in ("do_not_count", "problems"):
        for name, found in sorted(summary[title].items()):
            lines.append(f"  {found['count']} x {name}; first: {found['first'][0]}")
    return "\n".join(lines)
