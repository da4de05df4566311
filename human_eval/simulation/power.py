"""How exact a study will be, before anyone is asked: expected standard errors of one sample's fooling rate.

    coltran-study power --images 500 --raters 5

computes them from the rater model. The spreads are assumptions: give those of a pilot, or see how much they matter.
"""

from __future__ import annotations

import argparse
import dataclasses
import math

from coltran import cli
from human_eval.simulation import arguments

_TWO_SIDED_5_PERCENT, _POWER_80_PERCENT = 1.959964, 0.841621


@dataclasses.dataclass(frozen=True, kw_only=True)
class Power:
    """Expected standard errors of one sample's fooling rate, as shares.

    Attributes:
      iid: as if all ratings were independent.
      image_cluster: over other images, with these raters.
      two_way: over other images and other raters.
      raters: people that the study takes, each with one form.
      ratings: of all samples.
    """

    iid: float
    image_cluster: float
    two_way: float
    raters: int
    ratings: int


def add_options(add) -> None:
    add("--images", type=cli.positive, default=500, help="images (500)")
    add("--raters", type=cli.positive, default=5, help="ratings of each pair (5)")
    add("--samples", type=cli.positive, default=3, help="samples of each image (3)")
    add("--block", type=cli.positive, default=50, help="images a form (50)")
    arguments.add_effects(add)


def run(found: argparse.Namespace) -> None:
    effects = arguments.effects(found)
    power = expected(effects, images=found.images, raters=found.raters, samples=found.samples, block=found.block)
    smallest = (_TWO_SIDED_5_PERCENT + _POWER_80_PERCENT) * math.sqrt(2) * power.image_cluster
    print(
        f"{power.ratings} ratings by {power.raters} raters with one form each; one sample at {100 * found.rate:.1f}%:"
    )
    rows = [
        ("+- i.i.d.", f"{100 * power.iid:.2f} points"),
        ("+- image cluster", f"{100 * power.image_cluster:.2f} points"),
        ("+- two-way", f"{100 * power.two_way:.2f} points"),
        (
            "found with 80% power",
            f"a difference of {100 * smallest:.1f} points on other images; less where images are shared",
        ),
    ]
    print(cli.table(rows))


def expected(effects, *, images: int, raters: int, samples: int = 3, block: int = 50) -> Power:
    """Expected standard errors.

    Args:
      effects: a `rater_model.Effects`.
      images, raters, samples, block: of the design: images, ratings a pair, samples an image, images a form.
    """
    from human_eval.simulation.rater_model import variances

    parts = variances(effects)
    ratings = images * raters
    forms = -(-images // block) * samples
    people = forms * raters
    # A form holds all samples in equal parts, so every rater gives some of one sample's ratings, if there are enough.
    raters_of_a_sample = min(people, ratings)
    single = effects.rate * (1 - effects.rate)
    by_image = parts.image / images
    by_rater = parts.rater / raters_of_a_sample
    return Power(
        iid=math.sqrt(single / ratings),
        image_cluster=math.sqrt(by_image + (single - parts.image) / ratings),
        two_way=math.sqrt(by_image + by_rater + parts.rest / ratings),
        raters=people,
        ratings=ratings * samples,
    )
