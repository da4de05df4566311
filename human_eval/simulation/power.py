"""Computes the expected standard errors of a planned study from the rater model."""

from __future__ import annotations

import dataclasses
import math

from human_eval.design.arguments import SizeFlags
from human_eval.simulation.effects import Effects

_LEVEL, _POWER = 0.05, 0.8  # These are for a two-sided test for a difference.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Power:
    """Expected standard errors of one sample's fooling rate, as shares.

    Attributes:
      iid: error as if all ratings were independent.
      image_cluster: error over other images with these raters.
      two_way: error over other images and other raters.
      raters: number of people that the study needs, each with one form.
      ratings: number of ratings of all samples.
    """

    iid: float
    image_cluster: float
    two_way: float
    raters: int
    ratings: int

    @property
    def smallest_difference(self) -> float:
        """The difference between two rates of other images that a two-sided test at 5% finds with 80% power."""
        from scipy.special import ndtri

        return float(ndtri(1 - _LEVEL / 2) + ndtri(_POWER)) * math.sqrt(2) * self.image_cluster


def expected(
    effects: Effects, *, images: int, raters: int, samples: int = SizeFlags.samples, block: int = SizeFlags.block
) -> Power:
    """Computes the standard errors to expect.

    Args:
      effects: the raters' effects.
      images, raters, samples, block: the design's images, ratings per pair, samples per image, and images per form.
    """
    from human_eval.simulation.rater_model import variances

    parts = variances(effects)
    ratings = images * raters
    forms = -(-images // block) * samples
    people = forms * raters
    # A form holds all samples in equal parts. So every rater gives some ratings of one sample, if there are enough.
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
