"""Checks a table of ratings before it is scored, and makes the rows that `score` writes."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coltran.errors import UserError
from human_eval.answers.key import AnswerKey
from human_eval.answers.ratings import PLACES, Rating

TOP_UP_COLUMNS = ("study", "trial", "form", "model", "key", "sample", "ratings", "missing")


def check(table: Sequence[Rating], key: AnswerKey | None) -> None:
    """Raises a UserError if a rating belongs to another study or to none of its trials, or contradicts itself."""
    for rating in table:
        name = f"rating of assignment {rating.assignment[:40]}, trial {rating.trial}"
        if rating.study != (key.study if key else table[0].study):
            raise UserError(f"{name}: is of another study; give the study whose answers were ingested")
        if not rating.counts:
            continue
        pair = key.pairs.get(rating.trial) if key and rating.trial is not None else None
        shown = (rating.model, rating.key, rating.sample, rating.form)
        if key and (pair is None or shown != (pair.model, pair.key, pair.sample, pair.form)):
            raise UserError(f"{name}: is not what the answer key says; ingest the answers again")
        if rating.fooled is not ((rating.chosen == PLACES[0]) is rating.truth_first) or not rating.chosen:
            raise UserError(f"{name}: order, choice and `fooled` contradict one another; ingest the answers again")


def seen_form_sizes(table: Sequence[Rating]) -> dict[int, int]:
    """Counts the test trials of each form that were ever answered. Without an answer key, this is the form's size."""
    trials: dict[int, set[int | None]] = collections.defaultdict(set)
    for rating in table:
        if rating.kind == "test" and rating.form is not None:
            trials[rating.form].add(rating.trial)
    return {form: len(found) for form, found in trials.items()}


def exclusion_counts(judged: Sequence[Rating]) -> dict[str, int]:
    """Counts ratings by reason of exclusion, without the reason's numbers. `counted` is the number that count."""
    found = collections.Counter(rating.excluded.partition(":")[0] for rating in judged if rating.excluded)
    return {"counted": sum(rating.counts for rating in judged), **dict(sorted(found.items()))}


def top_up(used: Sequence[Rating], key: AnswerKey, raters: int) -> Iterator[tuple[Any, ...]]:
    """Yields the rows of top_up.csv. They are test pairs with fewer than `raters` counted ratings over all trials.

    If forms were added for a pair, it is in several trials, and the first one names it.
    """
    have = collections.Counter((rating.model, rating.key, rating.sample) for rating in used)
    named = set()
    for trial, pair in sorted(key.pairs.items()):
        what = pair.model, pair.key, pair.sample
        if pair.kind == "test" and have[what] < raters and what not in named:
            named.add(what)
            yield trial, pair.form, *what, have[what], raters - have[what]


def score_rows(results: Mapping[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Returns columns and rows of scores.csv. There is a row for each sample, for all samples, and for each oracle."""
    names = sorted(next(iter(results["models"].values()))["overall"]["standard_errors"])
    columns = [
        "model",
        "sample",
        "rate",
        "images",
        "ratings",
        "raters",
        "low",
        "high",
        *(f"se_{name}" for name in names),
    ]
    rows: list[list[object]] = []
    for model, numbers in results["models"].items():
        for sample, one in (*numbers["samples"].items(), ("all", numbers["overall"])):
            errors = [one["standard_errors"][name] for name in names]
            interval = one["intervals"]["image_cluster"]
            rows.append([model, sample, one["rate"], one["images"], one["ratings"], one["raters"], *interval, *errors])
        for name, one in (numbers["oracle"] or {}).items():
            if isinstance(one, dict):
                errors = [one["standard_error"] if other == "image_cluster" else None for other in names]
                images = numbers["images_with_all_samples"]
                rows.append([model, f"oracle {name}", one["rate"], images, None, None, *one["interval"], *errors])
    return columns, rows


def finite(value: object) -> object:
    """Replaces numbers that are not finite by None, because JSON has no NaN."""
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
