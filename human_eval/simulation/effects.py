"""Defines the known effects of simulated raters. These are also the flags that `simulate` and `power` share."""

from __future__ import annotations

import argparse
import dataclasses
import math

from coltran import cli
from coltran.options import option

_HEADING = "raters' effects"


def number(text: str) -> float:
    """Reads a finite number, as an argparse type."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, got '{text}'")
    return value


def deviation(text: str) -> float:
    """Reads a standard deviation from 0 to 10 logits, as an argparse type."""
    value = number(text)
    if not 0 <= value <= 10:
        raise argparse.ArgumentTypeError(f"expected logits from 0 to 10, got '{text}'")
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effects:
    """The known effects of simulated raters.

    Attributes:
      rate: fooling rate over all images, samples, raters and orders. At 0 raters are always right, at 1 always wrong.
      image_sd: standard deviation over images, in logits.
      sample_sd: standard deviation over the samples of an image, in logits.
      rater_sd: standard deviation over raters, in logits.
      first_bias: logits in favor of calling the first image fake.
      lapse: share of answers that a coin decides.
    """

    rate: float = option(
        0.42, parse=cli.fraction, group=_HEADING, help="fooling rate; the paper's samples have 0.405 to 0.423"
    )
    image_sd: float = option(1.0, parse=deviation, group=_HEADING, help="spread of images, logits")
    sample_sd: float = option(0.6, parse=deviation, group=_HEADING, help="spread of an image's samples, logits")
    rater_sd: float = option(0.6, parse=deviation, group=_HEADING, help="spread of raters, logits")
    first_bias: float = option(
        0.0, parse=number, group=_HEADING, help="logits in favor of calling the first image fake"
    )
    lapse: float = option(0.0, parse=cli.fraction, group=_HEADING, help="share of answers given by coin")

    def as_dict(self) -> dict[str, float]:
        """Returns the effects by name, without the options that a command adds."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Effects)}
