"""Finds the kinds of images in the paper's figure 11: all samples convincing, very different samples, none convincing.

With 5 raters a rate is k/5, so we compare limits as whole numbers, never as rounded shares. The report prints the
numbers by chance beside the numbers found, because an image in a category need not be special.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np

from human_eval.scoring import binomial

ALL_ABOVE_PERCENT = 60
RANGE_PERCENT = 80
NAMES = ("all_above", "wide_range", "never_fooled")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Categories:
    """The categories, each bool [I]: all rates > 60%, best minus worst >= 80 points, no rater fooled by any sample."""

    all_above: np.ndarray
    wide_range: np.ndarray
    never_fooled: np.ndarray


def categories(fooled_IK: np.ndarray, n_IK: np.ndarray) -> Categories:
    """Sorts images into categories.

    Args:
      fooled_IK, n_IK: int [I, K], numbers of fooled ratings and of all ratings (>= 1) of each image's samples.
    """
    common = math.lcm(*set(n_IK.ravel().tolist()))
    scaled = fooled_IK.astype(np.int64) * (common // n_IK)
    return Categories(
        all_above=np.all(100 * fooled_IK > ALL_ABOVE_PERCENT * n_IK, axis=1),
        wide_range=np.asarray(100 * (scaled.max(1) - scaled.min(1)) >= RANGE_PERCENT * common),
        never_fooled=np.all(fooled_IK == 0, axis=1),
    )


def expected_shares(n_IK: np.ndarray, rate: float) -> dict[str, float]:
    """Returns the exact share of images that each category has if every rating is fooled with the same probability.

    Args:
      n_IK: int [I, K], number of ratings of each image's samples.
      rate: the probability.
    """
    patterns = Counter(tuple(sorted(row)) for row in n_IK.tolist())
    totals = np.zeros(len(NAMES))
    for ns, times in patterns.items():
        totals += times * np.array(_chances(ns, rate))
    return dict(zip(NAMES, (totals / len(n_IK)).tolist(), strict=True))


def _chances(ns: tuple[int, ...], rate: float) -> tuple[float, float, float]:
    common = math.lcm(*ns)
    chance = [{k * (common // n): p for k, p in enumerate(binomial.probabilities(n, rate).tolist())} for n in ns]

    def all_within(low: int, high: int, *, without_low: bool) -> float:
        """Returns P(every scaled count in [low, high) or (low, high))."""
        return math.prod(
            sum(p for x, p in c.items() if low <= x < high and not (without_low and x == low)) for c in chance
        )

    above = math.prod(sum(p for x, p in c.items() if 100 * x > ALL_ABOVE_PERCENT * common) for c in chance)
    # In the narrow case, the lowest count is exactly `low`, and all others lie less than the range above it.
    reach = -(-RANGE_PERCENT * common // 100)
    narrow = 0.0
    for low in {x for c in chance for x in c}:
        narrow += all_within(low, low + reach, without_low=False) - all_within(low, low + reach, without_low=True)
    return above, 1 - narrow, math.prod(c[0] for c in chance)
