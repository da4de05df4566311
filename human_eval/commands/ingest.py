"""Read raters' answers, join them with the private answer key, and add them to one table of ratings.

    coltran-study ingest --study study answers-form1-ann.json Batch_12_results.csv

reads the static page's files, the study server's database, Mechanical Turk's results CSV and API answers, and Turkle's
results CSV. Nothing is guessed: what cannot count stays in the table with its reason, and is counted and named.
Ingesting a file again changes nothing, in whatever format or spelling its times are. Assignments that the service
calls rejected, returned or timed out count only if private/rules.json says so. If several Turkle servers number from 1,
ingest the files of each with a --source of its own. Answers of a pilot go to private/pilot_ratings.csv.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coltran import cli
from coltran.errors import UserError
from coltran.options import option
from human_eval.answers import comments, files as answer_files, ratings, servers
from human_eval.answers.files import AUTO
from human_eval.answers.join import UNKNOWN_TRIAL, rows_of, summarize, summary_path, who_and_where
from human_eval.answers.key import load
from human_eval.answers.ratings import Rating
from human_eval.answers.settling import settle
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
    source: str = option("", metavar="NAME", help="name of the server of these files, if several servers number from 1")
    allow_fewer: bool = option(False, help="let fewer ratings count than before (the table so far is kept beside it)")


def run(options: Options) -> None:
    """Reads files of answers into the table of ratings, and prints a summary."""
    load(options.study)  # This reports a wrong folder before we look at any answers.
    files = read_files(options.answers, options.format)
    pilot = any(submission.pilot for _, submissions in files for submission in submissions)
    default = pathlib.Path(options.study) / (ratings.IN_STUDY_PILOT if pilot else ratings.IN_STUDY)
    out = pathlib.Path(options.out or default)
    summary = add_to_table(options.study, files, out, source=options.source, allow_fewer=options.allow_fewer)
    print(describe(summary))
    for spellings in several_spellings(submission for _, found in files for submission in found):
        print(f"  these names are taken for one rater: {', '.join(map(repr, spellings))}")
    rows = [("ratings", out), ("summary", summary_path(out)), ("rules", rules_path(options.study))]
    rows += [("table before", kept_path(out))] if kept_path(out).exists() else []
    said = comments.path_beside(out)
    print(cli.table([*rows, ("comments", said)] if said.exists() else rows))


def several_spellings(submissions: Iterable[Submission]) -> list[list[str]]:
    """Returns the names that differ only in their spelling, together."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for submission in submissions:
        found[rater_ids.canonical(submission.rater)].add(submission.rater)
    return [sorted(names) for plain, names in sorted(found.items()) if plain and len(names) > 1]


def kept_path(table: pathlib.Path) -> pathlib.Path:
    """Returns where a table is kept that was replaced by one with fewer counting ratings."""
    return table.with_name(f"{table.stem}_before{table.suffix}")


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


def add_to_table(
    study: str,
    found: Sequence[tuple[str, Sequence[Submission]]],
    out: pathlib.Path,
    *,
    source: str = "",
    allow_fewer: bool = False,
) -> dict[str, Any]:
    """Works like `ingest`, but for files that `read_files` has read.

    Args:
      study, out: as for `ingest`.
      found: the files with their submissions.
      source: name of the server that numbered raters and assignments, if there are several.
      allow_fewer: whether fewer ratings may count than before.
    """
    key, salt = load(study), rater_ids.salt(study)
    before = ratings.read(out) if out.exists() else []
    if any(rating.study != key.study for rating in before):
        raise UserError(f"{out}: holds ratings of another study; give --out another file")
    everything = [submission for _, submissions in found for submission in submissions]
    # Before version 0.2 the hash was one of the name as it was spelled.
    one_name = {rater_ids.hashed(salt, "rater", one.rater): who_and_where(one, salt, source)[0] for one in everything}
    before = [dataclasses.replace(row, rater=one_name.get(row.rater, row.rater)) for row in before]
    gone = rater_ids.forgotten(study)
    gone |= {one_name[name] for name in gone if name in one_name}
    before = [row for row in before if row.rater not in gone]
    rows: list[tuple[str, Rating]] = []  # Each rating has the place where it was read.
    for file, submissions in found:
        new = [(one.where, row) for one in submissions for row in rows_of(one, key, salt, source)]
        if new and all(row.excluded == UNKNOWN_TRIAL for _, row in new):
            raise UserError(f"{file}: none of its {len(new)} answers belongs to {study}; give the study that was shown")
        rows += [(where, row) for where, row in new if row.rater not in gone]
    _refuse_mixture(out, before, rows)
    servers.refuse_two(out, before, rows)
    exclusions.write_defaults(rules_path(study))
    counted = exclusions.counted_statuses(exclusions.read(rules_path(study)))
    table = settle([*before, *(row for _, row in rows)], counted=counted)
    _keep_what_counts(out, before, table, allow_fewer=allow_fewer)
    ratings.write(out, table)
    said = ((*who_and_where(one, salt, source), str(one.form), one.submitted, one.comment) for one in everything)
    comments.add(comments.path_beside(out), said, without=gone)
    summary = summarize(table, everything, key)
    private_file(summary_path(out), json.dumps(summary, indent=1, sort_keys=True).encode() + b"\n")
    return summary


def _keep_what_counts(
    out: pathlib.Path, before: Sequence[Rating], table: Sequence[Rating], *, allow_fewer: bool
) -> None:
    """Refuses a table in which fewer ratings count, or keeps the one before."""
    had, have = (sum(row.counts for row in rows) for rows in (before, table))
    if have >= had:
        return
    if not allow_fewer:
        changed = collections.Counter(row.excluded for row in table if row.excluded)
        changed.subtract(row.excluded for row in before if row.excluded)
        why = max(changed, key=lambda reason: changed[reason])
        raise UserError(
            f"{out}: {have} ratings would count instead of {had}, most because of '{why}', so it stays as it is; "
            "leave the new files out, or give --allow_fewer"
        )
    private_file(kept_path(out), out.read_bytes())


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
