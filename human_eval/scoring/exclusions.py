"""Decides which ratings do not count, by rules that are written down before anything is scored.

The rules are in the study's private/rules.json (YAML works too). They judge one sitting at a time, in the order of the
fields. The first rule that a sitting breaks is the reason for all its ratings.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
import math
import pathlib
import statistics
from collections.abc import Iterable, Mapping, Sequence

from coltran import cli
from coltran.errors import UserError
from human_eval.answers import settling
from human_eval.answers.ratings import Rating
from human_eval.folder.layout import private_file

RULES = pathlib.PurePath("private", "rules.json")
VOIDED = "interrupted showing"
_RETURNED = ("returned", "abandoned", "expired", "timed out", "timed-out", "timedout", "skipped")
_DEFICIENT = "deficient"
_NETWORK_MS = 1500.0  # An answer may be this much later or earlier on its way than the one before.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """The limits for ratings that count.

    Attributes:
      min_answered: smallest share of a form's test trials that must be answered.
      min_catch: smallest share of catch trials in which the obvious fake must be found. It only applies if there are
        catch trials.
      min_median_response_ms: smallest median response time of the sitting's answers.
      max_same_side: largest share of answers on the more frequent side.
      same_side_from_trials: sittings with fewer answers are not judged by their sides.
      max_bad_timing: largest share of showings that were interrupted or not `exposure_ms` +- `exposure_tolerance_ms`.
      exposure_ms, exposure_tolerance_ms: exposure of each image. The paper showed one second (section 5.5).
      drop_voided: whether to drop a rating if its last showing was interrupted too.
      count_rejected: whether assignments count that the service calls rejected.
      count_returned: whether assignments count that were returned, abandoned or timed out.
      max_missing_times: largest share of answers without a response time or a measured exposure. Our page measures
        every showing, and a program that answers a form by itself measures nothing.
      max_faster_than_shown: largest share of answers that came, by the server's clock, before both photos can have been
        shown. It also excludes a sitting that took less time than its showings.
      max_clock_differences: largest share of answers for which the page claims more time than the server measured.
      max_alternating: largest share of answers on the other side than the answer before.
      drop_color_deficient: whether to exclude raters who said that their color vision is deficient.
    """

    min_answered: float = 1.0
    min_catch: float = 0.8
    min_median_response_ms: float = 300.0
    max_same_side: float = 0.9
    same_side_from_trials: int = 10
    max_bad_timing: float = 0.1
    exposure_ms: float = 1000.0
    exposure_tolerance_ms: float = 50.0
    drop_voided: bool = True
    count_rejected: bool = False
    count_returned: bool = False
    max_missing_times: float = 0.1
    max_faster_than_shown: float = 0.1
    max_clock_differences: float = 0.1
    max_alternating: float = 0.95
    drop_color_deficient: bool = True


def write_defaults(path: pathlib.Path) -> None:
    """Writes the default rules, unless the file exists."""
    if not path.exists():
        private_file(path, json.dumps(dataclasses.asdict(Rules()), indent=1).encode() + b"\n")


def read(path: str | pathlib.Path) -> Rules:
    """Reads the rules of a JSON or YAML file. A rule that the file leaves out has its default.

    Raises:
      UserError: the file is missing, it does not hold a mapping, it has an unknown rule, or a limit is not a number.
    """
    import yaml

    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; `coltran-study ingest` writes the default rules")
    try:
        found = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UserError(f"{path}: is neither JSON nor YAML") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected rules such as min_catch: 0.8")
    fields = {field.name: field for field in dataclasses.fields(Rules)}
    for name, value in found.items():
        if name not in fields:
            raise UserError(f"{path}: no rule '{name}'.{cli.nearest(str(name), fields)} Rules: {', '.join(fields)}")
        wanted = bool if fields[name].type == "bool" else (int, float)
        if not isinstance(value, wanted) or (wanted is not bool and (isinstance(value, bool) or not value >= 0)):
            raise UserError(f"{path}: {name} is {value!r}; expected a value such as {fields[name].default}")
    return Rules(**found)


def read_or_defaults(path: pathlib.Path) -> Rules:
    """Reads the rules of a file, or returns the default ones if there is no file."""
    return read(path) if path.exists() else Rules()


def counted_statuses(rules: Rules) -> frozenset[str]:
    """Returns what services call the assignments that count, in small letters."""
    counted = {*settling.COUNTED}
    counted |= {settling.REJECTED} if rules.count_rejected else set()
    counted |= {*_RETURNED} if rules.count_returned else set()
    return frozenset(counted)


def apply(table: Sequence[Rating], rules: Rules, form_sizes: Mapping[int, int]) -> list[Rating]:
    """Returns the table with a reason for each rating that the rules exclude. Earlier reasons stay.

    Args:
      table: table of ratings.
      rules: the rules to apply.
      form_sizes: for each form, its number of test trials.
    """
    sittings: dict[str, list[Rating]] = collections.defaultdict(list)
    for rating in table:
        sittings[rating.assignment].append(rating)
    broken = {name: broken_rule(rows, rules, form_sizes) for name, rows in sittings.items()}
    return [_judged(rating, broken[rating.assignment], rules) for rating in table]


def _judged(rating: Rating, reason: str, rules: Rules) -> Rating:
    if rating.excluded or rating.kind == "practice":
        return rating
    if not reason and rules.drop_voided and rating.voided:
        reason = VOIDED
    return dataclasses.replace(rating, excluded=reason) if reason else rating


def broken_rule(sitting: Iterable[Rating], rules: Rules, form_sizes: Mapping[int, int]) -> str:
    """Returns the first rule that a sitting breaks, in words with its numbers, or an empty text if it breaks none.

    Args:
      sitting: ratings of one assignment.
      rules, form_sizes: as for `apply`.
    """
    judged = sorted(
        (row for row in sitting if row.kind in ("test", "catch") and row.chosen), key=lambda row: row.place or 0
    )
    test, catch = ([row for row in judged if row.kind == kind] for kind in ("test", "catch"))
    wanted = sum(form_sizes.get(form, 0) for form in {row.form for row in test if row.form is not None})
    if len({row.trial for row in test}) < rules.min_answered * wanted or not test:
        return f"incomplete: {len(test)} of {wanted} trials answered"
    if rules.drop_color_deficient and any(row.vision == _DEFICIENT for row in judged):
        return "color vision: the rater said that it is deficient"
    found = sum(not row.fooled for row in catch)
    if found < rules.min_catch * len(catch):
        return f"catch trials: {found} of {len(catch)} found"
    return _implausible_times(judged, rules) or _by_side(judged, rules)


def _implausible_times(judged: Sequence[Rating], rules: Rules) -> str:
    missing = sum(None in (row.response_ms, row.first_ms, row.second_ms) for row in judged)
    if missing > rules.max_missing_times * len(judged):
        return f"no measured times: {missing} of {len(judged)} answers"
    times = [row.response_ms for row in judged if row.response_ms is not None]
    if times and statistics.median(times) < rules.min_median_response_ms:
        return f"too fast: median response {statistics.median(times):.0f} ms"
    shown = 2 * (rules.exposure_ms - rules.exposure_tolerance_ms)
    fast = sum(row.elapsed_ms is not None and row.elapsed_ms < shown for row in judged)
    if fast > rules.max_faster_than_shown * len(judged):
        return f"faster than shown: {fast} of {len(judged)} answers by the server's clock"
    whole = min((row.sitting_ms for row in judged if row.sitting_ms is not None), default=math.inf)
    if rules.max_faster_than_shown < 1 and whole < shown * len(judged):
        return f"faster than shown: {whole / 1000:.0f} s for {len(judged)} pairs"
    differing = sum(_claims_too_much(row) for row in judged)
    if differing > rules.max_clock_differences * len(judged):
        return f"clocks: {differing} of {len(judged)} answers took less time than the page says"
    bad = sum(_badly_timed(row, rules) for row in judged)
    if bad > rules.max_bad_timing * len(judged):
        return f"bad timing: {bad} of {len(judged)} showings"
    return ""


def _by_side(judged: Sequence[Rating], rules: Rules) -> str:
    if len(judged) < rules.same_side_from_trials:
        return ""
    side = max(collections.Counter(row.chosen for row in judged).values())
    if side > rules.max_same_side * len(judged):
        return f"same side: {side} of {len(judged)} answers"
    if any(row.place is None for row in judged):
        return ""  # A table of version 0.1.0 does not know the order of showing.
    changes = sum(before.chosen != after.chosen for before, after in itertools.pairwise(judged))
    if changes > rules.max_alternating * (len(judged) - 1):
        return f"alternating: {changes} of {len(judged) - 1} answers on the other side than the one before"
    return ""


def _claims_too_much(rating: Rating) -> bool:
    if rating.elapsed_ms is None or rating.response_ms is None:
        return False
    return rating.response_ms + (rating.first_ms or 0) + (rating.second_ms or 0) > rating.elapsed_ms + _NETWORK_MS


def _badly_timed(rating: Rating, rules: Rules) -> bool:
    # How many times may be missing is a rule of its own.
    measured = [ms for ms in (rating.first_ms, rating.second_ms) if ms is not None]
    return rating.voided or any(abs(ms - rules.exposure_ms) > rules.exposure_tolerance_ms for ms in measured)
