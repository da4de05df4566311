"""Finds the best of K samples of each image by human rating (paper, section 5.5), and how much of it is luck.

The best of several noisy rates is too high. Without any difference between samples, 3 samples with 5 raters each at a
rate of 42.3% give an oracle of 60.7%. The cross-validated oracle selects and scores on different ratings. It is too low
if samples do differ, because it selects by fewer ratings. The true value lies between the two.
"""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np


def naive(fooled_IK: np.ndarray, n_IK: np.ndarray) -> np.ndarray:
    """Returns each image's highest rate, float [I]. As in the paper, it selects and scores on the same ratings.

    Args:
      fooled_IK, n_IK: int [I, K], numbers of fooled ratings and of all ratings (>= 1) of each image's samples.
    """
    return (fooled_IK / n_IK).max(1)


def expected_under_noise(n_IK: np.ndarray, rate: float) -> float:
    """Returns the exact mean of `naive` if every rating of every sample is fooled with the same probability.

    Args:
      n_IK: int [I, K], number of ratings of each image's samples.
      rate: the probability.
    """
    patterns = Counter(tuple(sorted(row)) for row in n_IK.tolist())
    return sum(_expected_max(ns, rate) * times for ns, times in patterns.items()) / len(n_IK)


def _expected_max(ns: tuple[int, ...], rate: float) -> float:
    from scipy.special import bdtr

    # E max = sum over the grid's steps of P(max > lower end) * step.
    grid = sorted({k / n for n in ns for k in range(n + 1)})
    total = 0.0
    for low, high in itertools.pairwise(grid):
        middle = (low + high) / 2
        below = np.prod([bdtr(np.floor(middle * n), n, rate) for n in ns])
        total += (high - low) * (1 - float(below))
    return total


def cross_validated(fooled_IK: np.ndarray, n_IK: np.ndarray, *, hold_out: int = 1) -> np.ndarray:
    """Returns the held-out rate of the sample that the other ratings select, as float [I], over all ways to hold out.

    Each sample has raters of its own, because nobody sees an image twice. So each sample holds out `hold_out` of its
    own ratings. Ties are split evenly. The mean over all choices is exact, because it only needs how many of the
    held-out ratings were fooled, and this number is hypergeometric.

    Args:
      fooled_IK, n_IK: int [I, K], as for `naive`; every n > hold_out.
      hold_out: how many ratings of each sample score instead of selecting (1: leave one rater out).

    Raises:
      ValueError: a sample has too few ratings.
    """
    from scipy.special import comb

    if (n_IK <= hold_out).any():
        raise ValueError(f"holding out {hold_out} ratings needs more of every sample")
    images, samples = n_IK.shape
    ways = comb(n_IK, hold_out)
    chance = np.stack(
        [comb(fooled_IK, held) * comb(n_IK - fooled_IK, hold_out - held) / ways for held in range(hold_out + 1)]
    )
    total = np.zeros(images)
    for held in itertools.product(range(hold_out + 1), repeat=samples):
        weight = np.prod([chance[count, :, sample] for sample, count in enumerate(held)], axis=0)
        # Equal shares are equal floats, because division rounds correctly. So ties stay ties.
        selecting = (fooled_IK - np.array(held)) / (n_IK - hold_out)
        best = selecting >= selecting.max(1, keepdims=True)
        total += weight * (best * (np.array(held) / hold_out)).sum(1) / best.sum(1)
    return total
