"""Computes paired differences. Two models or two samples are compared on the images that both have."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from human_eval.scoring.arguments import REPLICATES
from human_eval.scoring.standard_errors import Estimate, bootstrap_mean

_EXACT_UP_TO = 13  # So many images have 8192 sign patterns, which are fewer than a drawn test uses.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """The first rate minus the second, as a share.

    Attributes:
      mean: mean over the images.
      images: number of images.
      estimate: the estimate by a bootstrap over images.
      p_value: two-sided p value of a sign-flip permutation test. Its null hypothesis is no difference on any image.
    """

    mean: float
    images: int
    estimate: Estimate
    p_value: float


def paired(first: np.ndarray, second: np.ndarray, *, seed: int, replicates: int = REPLICATES) -> Difference:
    """Compares two rates on the same images.

    Args:
      first, second: float [I], rates of the same images, I >= 1.
      seed: seed of bootstrap and permutations.
      replicates: number of replicates of both.
    """
    by_image = np.asarray(first, float) - np.asarray(second, float)
    return Difference(
        mean=float(by_image.mean()),
        images=len(by_image),
        estimate=bootstrap_mean(by_image, np.random.default_rng([seed, 0]), replicates),
        p_value=sign_flip_p(by_image, np.random.default_rng([seed, 1]), replicates),
    )


def sign_flip_p(by_image: np.ndarray, rng: np.random.Generator, permutations: int = REPLICATES) -> float:
    """Returns the two-sided p value of a sign-flip test, which is how often random signs give a sum as far from 0.

    It is exact for few images.

    Args:
      by_image: float [I], differences.
      rng: source of the drawn signs.
      permutations: how many patterns to draw if there are too many to try all.
    """
    moving = by_image[by_image != 0]
    size = abs(moving.sum()) * (1 - 1e-12)
    if len(moving) <= _EXACT_UP_TO:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(moving)))).reshape(
            2 ** len(moving), len(moving)
        )
        return float((abs(signs @ moving) >= size).mean())
    reached, step = 0, max(1, 4_000_000 // len(moving))
    for start in range(0, permutations, step):
        signs = rng.integers(0, 2, (min(step, permutations - start), len(moving)), np.int8) * 2.0 - 1.0
        reached += int((abs(signs @ moving) >= size).sum())
    return (reached + 1) / (permutations + 1)
