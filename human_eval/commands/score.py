"""Score a study: fooling rates with named standard errors, oracle, differences, agreement, and a report.

    coltran-study score --study study --out study/score

reads study/private/ratings.csv, excludes by study/private/rules.json, and writes score.json, scores.csv,
ratings_used.csv (every rating with its reason), top_up.csv (pairs that are short of ratings), and report.html with its
figures (figures/*.svg) and tables (tables/*.csv). They name
images and their answers: keep the folder as private as the key. docs/studies-methods.md says what each number means.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from coltran import cli
from coltran.errors import UserError
from coltran.options import option
from human_eval.answers import key as answer_key, ratings
from human_eval.answers.key import AnswerKey
from human_eval.answers.ratings import Rating
from human_eval.folder.spreadsheet import csv_bytes
from human_eval.scoring import exclusions
from human_eval.scoring.arguments import ScoreFlags
from human_eval.scoring.results import (
    TOP_UP_COLUMNS,
    check,
    exclusion_counts,
    finite,
    score_rows,
    seen_form_sizes,
    top_up,
)

_RESULT = "score.json"
_TABLES = ("scores.csv", "ratings_used.csv", "top_up.csv", "report.html")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(ScoreFlags):
    """The command's options."""

    study: str | None = option(
        None, metavar="FOLDER", help="study folder; without it, no top-up list and no images in the report"
    )
    ratings: str | None = option(None, metavar="FILE", shown="FOLDER/private/ratings.csv", help="table of ratings")
    rules: str | None = option(
        None, metavar="FILE", shown="FOLDER/private/rules.json", help="exclusion rules, JSON or YAML"
    )
    out: str = option(metavar="FOLDER", help="where the results go")
    raters: int | None = option(
        None, parse=cli.positive, shown="the design's", help="ratings that each pair should have, for top_up.csv"
    )


def run(options: Options) -> None:
    """Scores a table of ratings, writes all results, and prints the fooling rates."""
    if not (options.study or options.ratings):
        raise UserError("give --study FOLDER or --ratings FILE")
    _refuse_other_files(pathlib.Path(options.out))
    key = answer_key.load(options.study) if options.study else None
    table = ratings.read(options.ratings or pathlib.Path(options.study or "") / ratings.IN_STUDY)
    check(table, key)
    rules = _rules(options)
    judged = exclusions.apply(table, rules, key.form_sizes if key else seen_form_sizes(table))
    results = write_all(options, judged, rules, key)
    print(describe(results, pathlib.Path(options.out)))


def _refuse_other_files(out: pathlib.Path) -> None:
    """Raises UserError if the folder holds a file of a name that we write, and no earlier result beside it."""
    present = [name for name in _TABLES if (out / name).exists()]
    if present and not (out / _RESULT).exists():
        raise UserError(f"{out / present[0]}: this command did not write that file; give --out a new folder")


def _rules(options: Options) -> exclusions.Rules:
    """Reads the rules of --rules, or those of the study, and writes the default ones there if it has none."""
    if options.rules:
        return exclusions.read(options.rules)
    if not options.study:
        return exclusions.Rules()
    path = pathlib.Path(options.study) / exclusions.RULES
    exclusions.write_defaults(path)
    return exclusions.read(path)


def write_all(
    options: Options, judged: Sequence[Rating], rules: exclusions.Rules, key: AnswerKey | None
) -> dict[str, Any]:
    """Scores the judged table, writes all files of --out, and returns what score.json holds."""
    from human_eval.scoring import plots as score_plots, report as score_report, tables as score_tables

    used = [rating for rating in judged if rating.counts]
    if not used:
        reasons = collections.Counter(rating.excluded for rating in judged).most_common(1)
        raise UserError(
            f"no rating counts of {len(judged)}; most frequent reason: {reasons[0][0] if reasons else 'none'}"
        )
    rules_text = json.dumps(dataclasses.asdict(rules), sort_keys=True)
    results: dict[str, Any] = {
        "study": used[0].study,
        "options": options.as_dict(),
        "rules": dataclasses.asdict(rules),
        "rules_sha256": hashlib.sha256(rules_text.encode()).hexdigest(),
        "exclusions": exclusion_counts(judged),
        "made_up": used[0].nature[0],
        "pilot": used[0].nature[1],
        **score_tables.score(used, options),
    }
    # The first column of a list marks a pilot or made-up answers. Such a list cannot top up a study.
    nature = [word for word, is_it in zip(("simulated", "pilot"), used[0].nature, strict=True) if is_it]
    study = " ".join([used[0].study, *nature])
    short = [(study, *row) for row in top_up(used, key, options.raters or key.raters)] if key else []
    results["top_up"] = {"pairs": len(short), "ratings": sum(row[-1] for row in short)}
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    files = {
        _RESULT: json.dumps(finite(results), indent=1, sort_keys=True, allow_nan=False).encode() + b"\n",
        "scores.csv": csv_bytes(*score_rows(results)),
        "ratings_used.csv": ratings.to_csv(judged),
        "top_up.csv": csv_bytes(TOP_UP_COLUMNS, short),
        "report.html": score_report.report(results, judged, key, options.study),
    }
    svg = score_report.figures(results, judged, score_plots.SVG)
    files |= {f"figures/{name}.svg": data for name, data in svg.items()}
    # A model's name may hold a slash or other letters that no file name can have.
    found = {re.sub(r"[^\w.+-]", "_", name): table for name, table in score_report.tables(results).items()}
    files |= {f"tables/{name}.csv": csv_bytes(header, rows) for name, (header, rows) in found.items()}
    for name, data in files.items():
        ratings.private_file(out / name, data)
    return results


def describe(results: Mapping[str, Any], out: pathlib.Path) -> str:
    """Returns the summary to print. Its last lines are the fooling rates."""
    from human_eval.scoring import report as score_report

    excluded = {name: n for name, n in results["exclusions"].items() if name != "counted"}
    lines = ["these answers are made up (coltran-study simulate)"] if results["made_up"] else []
    lines += ["these answers are of a pilot, not of the study"] if results["pilot"] else []
    lines += [f"{results['exclusions']['counted']} test ratings count; excluded: {excluded or 'none'}"]
    if results["top_up"]["pairs"]:
        lines.append(
            f"{results['top_up']['pairs']} pairs are short of {results['top_up']['ratings']} ratings: top_up.csv"
        )
    lines.append(cli.table([("report", out / "report.html"), ("numbers", out / "score.json")]))
    for model, numbers in results["models"].items():
        lines.append(score_report.in_words(model, numbers))
        if numbers["oracle"]:
            naive, noise = numbers["oracle"]["naive"], numbers["oracle"]["naive_expected_under_noise"]
            luck = f"the paper's rule; equal samples would give {100 * noise:.1f}% by luck"
            lines.append(f"{model}, oracle: {percent(naive)} ({luck})")
        for sample, one in numbers["samples"].items():
            error = 100 * one["standard_errors"]["image_cluster"]
            lines.append(
                f"{model}, sample {sample}: {100 * one['rate']:.1f}% +- {error:.1f} "
                f"(image-cluster standard error; {one['images']} images, {one['ratings']} ratings)"
            )
    return "\n".join(lines)


def percent(one: Mapping[str, Any]) -> str:
    """Returns a rate with its standard error as text, such as `42.3% +- 0.8`."""
    return f"{100 * one['rate']:.1f}% +- {100 * one['standard_error']:.1f}"
