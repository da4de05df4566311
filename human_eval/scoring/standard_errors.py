"""Computes several standard errors of a fooling rate. Each has a name, because they answer different questions.

`iid` treats all ratings as independent. `raters_within_images` asks about other raters on these images. `image_cluster`
asks about other images, and is the headline. `two_way_moments` and `two_way_bootstrap` ask about other images and other
raters, and the second is the cautious one. `amt_tool` is what the tool that the field used prints. The paper (section
5.5) does not say which one its +- is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from human_eval.scoring.arguments import REPLICATES
from human_eval.scoring.binomial import CONFIDENCE, wilson

_CHUNK = 4_000_000  # This many weights are in memory at once.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ratings:
    """The ratings of one colorization, as arrays of the same length n >= 1.

    Attributes:
      fooled: bool [n].
      image, rater, assignment: int [n], numbers from 0 without gaps.
    """

    fooled: np.ndarray
    image: np.ndarray
    rater: np.ndarray
    assignment: np.ndarray

    @property
    def rate(self) -> float:
        """The share of ratings in which the fake was taken for real."""
        return float(self.fooled.mean())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A standard error and a 95% interval, both as shares."""

    standard_error: float
    low: float
    high: float


def all_estimates(ratings: Ratings, *, seed: int, replicates: int = REPLICATES) -> dict[str, Estimate]:
    """Computes every standard error under its name.

    Args:
      ratings: ratings of one colorization, or of several together.
      seed: seed of the bootstraps.
      replicates: number of replicates of each bootstrap.
    """
    methods: dict[str, Callable] = {
        "image_cluster": image_cluster,
        "two_way_bootstrap": two_way_bootstrap,
        "amt_tool": amt_tool,
    }
    found = {"iid": iid(ratings), "raters_within_images": raters_within_images(ratings)}
    for number, (name, method) in enumerate(methods.items()):
        found[name] = method(ratings, np.random.default_rng([seed, number]), replicates)
    found["two_way_moments"] = two_way_moments(ratings)
    return found


def iid(ratings: Ratings) -> Estimate:
    """Returns sqrt(p (1 - p) / n) with Wilson's interval."""
    n = len(ratings.fooled)
    low, high = wilson(int(ratings.fooled.sum()), n)
    return Estimate(standard_error=math.sqrt(ratings.rate * (1 - ratings.rate) / n), low=low, high=high)


def raters_within_images(ratings: Ratings) -> Estimate:
    """Returns the limit of the bootstrap that keeps the images and resamples each image's ratings.

    The interval is normal.
    """
    fooled, n = _per_cluster(ratings.fooled, ratings.image)
    share = fooled / n
    return _normal(ratings.rate, float((n * share * (1 - share)).sum()) / len(ratings.fooled) ** 2)


def image_cluster(ratings: Ratings, rng: np.random.Generator, replicates: int = REPLICATES) -> Estimate:
    """Resamples whole images with all their ratings. The interval is from percentiles."""
    fooled, n = _per_cluster(ratings.fooled, ratings.image)
    return _percentiles(
        np.concatenate([(w @ fooled) / (w @ n) for w in cluster_weights(rng, len(n), replicates)]), ratings.rate
    )


def two_way_bootstrap(ratings: Ratings, rng: np.random.Generator, replicates: int = REPLICATES) -> Estimate:
    """Resamples images and, crossed with them, raters. The interval is from percentiles.

    A rating's weight is the product of both counts (Owen, "The pigeonhole bootstrap", 2007). The method counts the
    noise of single ratings up to three times, so it is too wide if images and raters differ little.
    """
    import scipy.sparse

    shape = (int(ratings.rater.max()) + 1, int(ratings.image.max()) + 1)
    cells = (ratings.rater, ratings.image)
    fooled = scipy.sparse.csr_array((ratings.fooled.astype(float), cells), shape=shape)
    n = scipy.sparse.csr_array((np.ones(len(ratings.fooled)), cells), shape=shape)
    found = []
    for images in cluster_weights(rng, shape[1], replicates):
        raters = next(cluster_weights(rng, shape[0], len(images), whole=True))
        top = (raters * (fooled @ images.T).T).sum(1)
        total = (raters * (n @ images.T).T).sum(1)
        found.append(np.divide(top, total, out=np.full(len(top), ratings.rate), where=total > 0))
    return _percentiles(np.concatenate(found), ratings.rate)


def two_way_moments(ratings: Ratings) -> Estimate:
    """Adds the variances by images and by raters, minus that of single ratings (Cameron, Gelbach and Miller 2011)."""
    rest = ratings.fooled - ratings.rate
    by_image, by_rater = (_cluster_variance(rest, groups) for groups in (ratings.image, ratings.rater))
    single = float((rest**2).sum()) / len(rest) ** 2
    # By chance the sum may be less than one of its parts. In truth, the whole is never less than a part.
    return _normal(ratings.rate, max(by_image + by_rater - single, by_image, by_rater))


def amt_tool(ratings: Ratings, rng: np.random.Generator, replicates: int = REPLICATES) -> Estimate:
    """Resamples assignments, and the trials in each, as phillipi/AMT_Real_vs_Fake does.

    The interval is from percentiles.
    """
    fooled, n = _per_cluster(ratings.fooled, ratings.assignment)
    n = n.astype(np.int64)
    found, step = [], max(1, _CHUNK // len(n))
    for start in range(0, replicates, step):
        chosen = rng.integers(len(n), size=(min(step, replicates - start), len(n)))
        found.append(rng.binomial(n[chosen], (fooled / n)[chosen]).sum(1) / n[chosen].sum(1))
    return _percentiles(np.concatenate(found), ratings.rate)


def bootstrap_mean(values: np.ndarray, rng: np.random.Generator, replicates: int = REPLICATES) -> Estimate:
    """Resamples images for the mean of one value per image, float [I]. The interval is from percentiles.

    For an oracle this equals a bootstrap with a new selection in each replicate, because the selection is by image.
    """
    weights = cluster_weights(rng, len(values), replicates)
    return _percentiles(np.concatenate([w @ values / len(values) for w in weights]), float(values.mean()))


def cluster_weights(
    rng: np.random.Generator, clusters: int, replicates: int, *, whole: bool = False
) -> Iterator[np.ndarray]:
    """Yields how often each replicate draws each cluster: float [some, clusters] at a time, `replicates` rows in all.

    Args:
      rng: source of the draws.
      clusters: number of clusters. Each replicate draws as many.
      replicates: number of rows in all.
      whole: whether to yield all rows at once.
    """
    step = replicates if whole else max(1, min(replicates, _CHUNK // clusters))
    for start in range(0, replicates, step):
        rows = min(step, replicates - start)
        drawn = rng.integers(clusters, size=(rows, clusters)) + np.arange(rows)[:, None] * clusters
        yield np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters).astype(float)


def _per_cluster(fooled: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns how often each cluster fooled raters, and how many ratings it has."""
    return np.bincount(groups, weights=fooled), np.bincount(groups).astype(float)


def _cluster_variance(rest: np.ndarray, groups: np.ndarray) -> float:
    sums = np.bincount(groups, weights=rest)
    small = len(sums) / max(len(sums) - 1, 1)
    return small * float((sums**2).sum()) / len(rest) ** 2


def _normal(rate: float, variance: float) -> Estimate:
    from scipy.special import ndtri

    error = math.sqrt(variance)
    half = float(ndtri(0.5 + CONFIDENCE / 2)) * error
    return Estimate(standard_error=error, low=max(0.0, rate - half), high=min(1.0, rate + half))


def _percentiles(found: np.ndarray, rate: float) -> Estimate:
    if len(found) < 2:
        return Estimate(standard_error=0.0, low=rate, high=rate)
    low, high = np.quantile(found, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return Estimate(standard_error=float(found.std(ddof=1)), low=float(low), high=float(high))
