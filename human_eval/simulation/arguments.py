"""Options of the rater model, which `simulate` and `power` share."""

from __future__ import annotations

import argparse
import math

from coltran import cli


def add_effects(add) -> None:
    add("--rate", type=cli.fraction, default=0.42, help="fooling rate (0.42; the paper's samples have 0.405 to 0.423)")
    add("--image_sd", type=deviation, default=1.0, help="spread of images, logits (1.0)")
    add("--sample_sd", type=deviation, default=0.6, help="spread of an image's samples, logits (0.6)")
    add("--rater_sd", type=deviation, default=0.6, help="spread of raters, logits (0.6)")
    add("--first_bias", type=number, default=0.0, help="logits in favor of calling the first image fake (0)")
    add("--lapse", type=cli.fraction, default=0.0, help="share of answers given by coin (0)")


def effects(found: argparse.Namespace):
    """The `rater_model.Effects` that the options say."""
    from human_eval.simulation.rater_model import Effects

    names = ("rate", "image_sd", "sample_sd", "rater_sd", "first_bias", "lapse")
    return Effects(**{name: getattr(found, name) for name in names})


def number(text: str) -> float:
    """argparse type: a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, got '{text}'")
    return value


def deviation(text: str) -> float:
    """argparse type: a standard deviation from 0 to 10 logits."""
    value = number(text)
    if not 0 <= value <= 10:
        raise argparse.ArgumentTypeError(f"expected logits from 0 to 10, got '{text}'")
    return value
