"""What a study costs in raters' time and in money."""

from __future__ import annotations

import argparse
import math

from human_eval.folder.layout import StudyDesign

# Of the page: fixation, blank, first photo, blank, second photo.
SHOWING_SECONDS = 0.6 + 0.6 + 1.0 + 0.6 + 1.0
_READING_SECONDS = 60.0  # consent and instructions


def add_options(add) -> None:
    add("--reward", type=_amount, default=1.25, help="for one form, for the estimate (1.25)")
    add("--fee", type=_amount, default=0.2, help="of the service, as a share of the reward (0.2)")
    add("--answer_seconds", type=_amount, default=1.0, help="assumed time for one answer (1.0)")


def form_minutes(trials: int, answer_seconds: float) -> float:
    """Minutes for a form of so many trials, reading included."""
    return (_READING_SECONDS + trials * (SHOWING_SECONDS + answer_seconds)) / 60


def describe(design: StudyDesign, found: argparse.Namespace) -> str:
    """The estimate in two lines.

    Args:
      design: of the study.
      found: with `reward`, `fee` and `answer_seconds`.
    """
    sittings = sum(form.raters for form in design.forms)
    minutes = [form_minutes(len(form.trials), found.answer_seconds) for form in design.forms]
    longest = max(minutes)
    hours = sum(m * form.raters for m, form in zip(minutes, design.forms, strict=True)) / 60
    rewards = sittings * found.reward
    return (
        f"estimate: {sittings} sittings of up to {longest:.1f} minutes, {hours:.1f} hours of raters' time in all\n"
        f"  at {found.reward:.2f} a form: {rewards:,.2f} and {100 * found.fee:.0f}% fee "
        f"= {rewards * (1 + found.fee):,.2f};"
        f" {60 * found.reward / longest:.2f} an hour for the longest form (--reward changes it)"
    )


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"expected an amount such as 1.25, got '{text}'")
    return value
