"""Computes with the binomial distribution of ratings: the interval of a proportion, and the numbers by chance."""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.95


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Returns the 95% Wilson score interval of a proportion. Without trials it is (0, 1)."""
    from scipy import stats

    if not trials:
        return 0.0, 1.0
    found = stats.binomtest(successes, trials).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def probabilities(n: int, rate: float) -> np.ndarray:
    """Returns the chances of 0 to n fooled ratings out of n, as float64 [n + 1]."""
    from scipy import stats

    return stats.binom.pmf(np.arange(n + 1), n, rate)
