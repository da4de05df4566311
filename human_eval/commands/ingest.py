"""Read raters' answers, join them with the private answer key, and add them to one table of ratings.

    coltran-study ingest --study study answers-form1-ann.json Batch_12_results.csv

reads the static page's files, the study server's database, Mechanical Turk's results CSV and API answers, and Turkle's
results CSV. Nothing is guessed: what cannot count stays in the table with its reason, and is counted and named.
Ingesting a file again changes nothing. Answers of a pilot go to private/pilot_ratings.csv.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from coltran import cli
from coltran.errors import UserError
from coltran.options import option
from human_eval.answers import comments, files as answer_files, ratings
from human_eval.answers.files import AUTO
from human_eval.answers.join import UNKNOWN_TRIAL, rows_of, settle, summarize, summary_path, who_and_where
from human_eval.answers.key import load
from human_eval.answers.ratings import Rating
from human_eval.answers.submissions import Submission
from human_eval.folder import rater_ids
from human_eval.folder.layout import private_file
from human_eval.scoring import exclusions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The command's options."""

    answers: tuple[str, ...] = option(positional=True, metavar="FILE", help="files of answers, of any of the formats")
    study: str = option(metavar="FOLDER", help="study folder of coltran-study export")
    out: str | None = option(
        None,
        metavar="FILE",
        shown="FOLDER/private/ratings.csv, pilot_ratings.csv of a pilot",
        help="the table, added to",
    )
    format: str = option(
        AUTO, choices=(AUTO, *answer_files.FORMATS), shown="auto, by their content", help="what the files are"
    )


def run(options: Options) -> None:
    """Reads files of answers into the table of ratings, and prints a summary."""
    load(options.study)  # This reports a wrong folder before we look at any answers.
    files = read_files(options.answers, options.format)
    pilot = any(submission.pilot for _, submissions in files for submission in submissions)
    default = pathlib.Path(options.study) / (ratings.IN_STUDY_PILOT if pilot else ratings.IN_STUDY)
    out = pathlib.Path(options.out or default)
    summary = add_to_table(options.study, files, out)
    print(describe(summary))
    rows = [("ratings", out), ("summary", summary_path(out)), ("rules", rules_path(options.study))]
    said = comments.path_beside(out)
    print(cli.table([*rows, ("comments", said)] if said.exists() else rows))


def rules_path(study: str) -> pathlib.Path:
    """Returns the path of a study's exclusion rules."""
    return pathlib.Path(study) / exclusions.RULES


def read_files(files: Sequence[str], kind: str = AUTO) -> list[tuple[str, list[Submission]]]:
    """Returns (file, its submissions) for each file. It raises a UserError if a file cannot be read."""
    return [(file, list(answer_files.read_submissions(file, kind))) for file in sorted(set(files))]


def ingest(study: str, files: Sequence[str], out: pathlib.Path, *, kind: str = AUTO) -> dict[str, Any]:
    """Adds files of answers to the table `out`, and writes `ingest.json` beside it.

    Args:
      study: the study folder.
      files: files of answers.
      out: the table. If the table or the exclusion rules do not exist, they are made.
      kind: the name of a format, or `auto`.

    Returns:
      The content of ingest.json, as `summarize` returns it.

    Raises:
      UserError: a file cannot be read or has no trial of this study, the table belongs to another study, or it would
        mix answers of simulated raters, of a pilot and of the study.
    """
    return add_to_table(study, read_files(files, kind), out)


def add_to_table(study: str, found: Sequence[tuple[str, Sequence[Submission]]], out: pathlib.Path) -> dict[str, Any]:
    """Works like `ingest`, but for files that `read_files` has read."""
    key, salt = load(study), rater_ids.salt(study)
    before = ratings.read(out) if out.exists() else []
    if any(rating.study != key.study for rating in before):
        raise UserError(f"{out}: holds ratings of another study; give --out another file")
    gone = rater_ids.forgotten(study)
    before = [row for row in before if row.rater not in gone]
    rows: list[tuple[str, Rating]] = []  # Each rating has the place where it was read.
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
        places = {row.nature[number]: where for where, row in reversed(rows)}  # This keeps the first place of each.
        there = {row.nature[number] for row in before}
        if len(there | set(places)) > 1:
            odd = there != {True}
            other = out if there else places[not odd]
            raise UserError(
                f"{places.get(odd, out)}: would mix {mixture} (of {other}); take it out, or give --out another file"
            )


def describe(summary: Mapping[str, Any]) -> str:
    """Returns the summary as lines of text for people."""
    lines = [
        f"{summary['rows']} ratings of {summary['raters']} raters in {summary['assignments']} sittings; "
        f"{summary['count']} test ratings count, {summary['truth_first']} of them with the truth first"
    ]
    for title in ("do_not_count", "problems"):
        for name, found in sorted(summary[title].items()):
            lines.append(f"  {found['count']} x {name}; first: {found['first'][0]}")
    return "\n".join(lines)
