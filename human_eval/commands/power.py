"""How exact a study will be, before anyone is asked: expected standard errors of one sample's fooling rate.

    coltran-study power --images 500 --raters 5

computes them from the rater model. The spreads are assumptions: give those of a pilot, or see how much they matter.
"""

from __future__ import annotations

import argparse
import math

from coltran import cli
from human_eval.simulation import arguments
from human_eval.simulation.power import POWER_80_PERCENT, TWO_SIDED_5_PERCENT, expected


def add_options(add) -> None:
    add("--images", type=cli.positive, default=500, help="images (500)")
    add("--raters", type=cli.positive, default=5, help="ratings of each pair (5)")
    add("--samples", type=cli.positive, default=3, help="samples of each image (3)")
    add("--block", type=cli.positive, default=50, help="images a form (50)")
    arguments.add_effects(add)


def run(found: argparse.Namespace) -> None:
    effects = arguments.effects(found)
    power = expected(effects, images=found.images, raters=found.raters, samples=found.samples, block=found.block)
    smallest = (TWO_SIDED_5_PERCENT + POWER_80_PERCENT) * math.sqrt(2) * power.image_cluster
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
