"""How exact a study will be, before anyone is asked: expected standard errors of one sample's fooling rate.

    coltran-study power --images 500 --raters 5

computes them from the rater model. The spreads are assumptions: give those of a pilot, or see how much they matter.
"""

from __future__ import annotations

import dataclasses

from coltran import cli
from human_eval.design.arguments import SizeFlags
from human_eval.simulation.effects import Effects
from human_eval.simulation.power import expected


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Effects, SizeFlags):
    """The command's options."""


def run(options: Options) -> None:
    """Prints the expected standard errors, and the smallest difference that a study of this size can find."""
    power = expected(
        options, images=options.images, raters=options.raters, samples=options.samples, block=options.block
    )
    found = f"a difference of {100 * power.smallest_difference:.1f} points"
    print(
        f"{power.ratings} ratings by {power.raters} raters with one form each; one sample at {100 * options.rate:.1f}%:"
    )
    rows = [
        ("+- i.i.d.", f"{100 * power.iid:.2f} points"),
        ("+- image cluster", f"{100 * power.image_cluster:.2f} points"),
        ("+- two-way", f"{100 * power.two_way:.2f} points"),
        ("found with 80% power", f"{found} on other images; less where images are shared"),
    ]
    print(cli.table(rows))
