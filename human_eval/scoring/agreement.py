"""Measures how far raters agree with one another, by Krippendorff's alpha for nominal values."""

from __future__ import annotations

import numpy as np

from human_eval.scoring.arguments import REPLICATES
from human_eval.scoring.standard_errors import Estimate, cluster_weights


def krippendorff_alpha(counts_UV: np.ndarray) -> float:
    """Computes alpha. It is 1 for full agreement, 0 for chance, and NaN if only one value was ever given.

    Args:
      counts_UV: int [U, V], how many raters gave unit u the value v. Units may have any number of ratings, but units
        with fewer than two are left out (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011).
    """
    counts, disagreement = _pairable(counts_UV)
    return float(_alpha(counts.sum(0, keepdims=True), disagreement.sum(keepdims=True))[0])


def bootstrap_alpha(counts_UV: np.ndarray, rng: np.random.Generator, replicates: int = REPLICATES) -> Estimate:
    """Estimates the standard error and the 95% percentile interval of alpha by a bootstrap of units (Zapf et al. 2016).

    Args:
      counts_UV: int [U, V], as for `krippendorff_alpha`.
      rng: source of the draws.
      replicates: number of replicates.
    """
    counts, disagreement = _pairable(counts_UV)
    if not len(counts):
        return Estimate(standard_error=float("nan"), low=float("nan"), high=float("nan"))
    weights = cluster_weights(rng, len(counts), replicates)
    found = np.concatenate([_alpha(w @ counts, w @ disagreement) for w in weights])
    found = found[np.isfinite(found)]
    if len(found) < 2:
        return Estimate(standard_error=float("nan"), low=float("nan"), high=float("nan"))
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(standard_error=float(found.std(ddof=1)), low=float(low), high=float(high))


def _pairable(counts_UV: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the counts of units with at least two ratings, and each unit's part of the observed disagreement."""
    counts = counts_UV[counts_UV.sum(1) >= 2].astype(float)
    n = counts.sum(1)
    return counts, (n**2 - (counts**2).sum(1)) / np.maximum(n - 1, 1)


def _alpha(values_BV: np.ndarray, observed_B: np.ndarray) -> np.ndarray:
    n = values_BV.sum(1)
    expected = n**2 - (values_BV**2).sum(1)
    ratio = np.divide((n - 1) * observed_B, expected, out=np.full(len(n), np.nan), where=expected > 0)
    return 1 - ratio
