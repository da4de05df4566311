"""Estimates what a study costs in raters' time and in money."""

from __future__ import annotations

import argparse
import dataclasses
import math

from coltran.options import option
from human_eval.folder.layout import StudyDesign

# The page shows fixation, blank, first photo, blank and second photo.
SHOWING_SECONDS = 0.6 + 0.6 + 1.0 + 0.6 + 1.0
_HEADING = "estimate of the cost"
_READING_SECONDS = 60.0  # A rater reads consent and instructions in this time.


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"expected an amount such as 1.25, got '{text}'")
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostFlags:
    """The assumptions for the estimate of a study's cost. They change nothing in the study."""

    reward: float = option(1.25, parse=_amount, decides=False, group=_HEADING, help="reward for one form")
    fee: float = option(
        0.2, parse=_amount, decides=False, group=_HEADING, help="fee of the service, as a share of the reward"
    )
    answer_seconds: float = option(
        1.0, parse=_amount, decides=False, group=_HEADING, help="assumed time for one answer"
    )


def form_minutes(trials: int, answer_seconds: float) -> float:
    """Returns the minutes that a form with this number of trials takes, including reading."""
    return (_READING_SECONDS + trials * (SHOWING_SECONDS + answer_seconds)) / 60


def longest_form(design: StudyDesign) -> tuple[int, int]:
    """Returns the number of pairs of the longest form, with practice, and the minutes that it takes, rounded up."""
    pairs = max(len(form.trials) for form in design.forms)
    return pairs, math.ceil(form_minutes(pairs, CostFlags.answer_seconds))


def describe(design: StudyDesign, options: CostFlags) -> str:
    """Returns the estimate of time and money in two lines.

    Args:
      design: the study's design.
      options: what raters get, and how long they take.
    """
    sittings = sum(form.raters for form in design.forms)
    minutes = [form_minutes(len(form.trials), options.answer_seconds) for form in design.forms]
    longest = max(minutes)
    hours = sum(m * form.raters for m, form in zip(minutes, design.forms, strict=True)) / 60
    rewards = sittings * options.reward
    return (
        f"estimate: {sittings} sittings of up to {longest:.1f} minutes, {hours:.1f} hours of raters' time in all\n"
        f"  at {options.reward:.2f} a form: {rewards:,.2f} and {100 * options.fee:.0f}% fee "
        f"= {rewards * (1 + options.fee):,.2f};"
        f" {60 * options.reward / longest:.2f} an hour for the longest form (--reward changes it)"
    )
