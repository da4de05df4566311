"""Computes the Frechet distance between two sets of features. It is the third of the three steps of an FID.

The distance is |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), Heusel et al. 2017, equation 6. Tools differ in how they
compute the trace of the root. With any factors F'F = C, the trace is the nuclear norm (sum of singular values) of
F1 F2'. This way never forms the product C1 C2, whose small eigenvalues get lost in rounding. We take the best factor
that the statistics allow:

- If the features were kept (count <= dims), the factor is the centered features themselves. It is exact at any rank.
- At full rank, Cholesky gives the factor. The singular values are then roots of the eigenvalues of L1' C2 L1, which is
  faster.
- Without features and without full rank, eigenvectors give the factor. Eigenvalues below 1e-14 of the largest count as
  rounding.
"""

import functools

import numpy as np

from coltran.errors import UserError
from eval.distances.statistics import Statistics

EIGENVALUE_CLIP = 1e-14
_LEAST_PIVOT = 1e-12
_KEPT = 2  # We keep two factors of 33 MB, because one set is often compared with several others in a row.


def frechet_distance(first: Statistics, second: Statistics) -> float:
    """Returns the Frechet distance of two sets of features.

    Args:
      first: statistics of one set, at least 2 vectors.
      second: statistics of the other set. Swapping the two changes nothing.

    Returns:
      A number >= 0; 0 for identical sets.

    Raises:
      UserError: a set has fewer than 2 vectors, the dims differ, or a value is not finite.
    """
    if first.dims != second.dims:
        raise UserError(f"cannot compare features of {first.dims} and of {second.dims} dimensions")
    for statistics in (first, second):
        kept = statistics.scatter if statistics.features is None else statistics.features
        if not (np.isfinite(statistics.mean).all() and np.isfinite(kept).all()):
            raise UserError("the statistics hold NaN or infinity: the features that they come from are damaged")
    traces = _trace(first) + _trace(second)
    between = np.sum((first.mean - second.mean) ** 2)
    return float(max(between + traces - 2 * trace_of_root(first, second), 0.0))


def trace_of_root(first: Statistics, second: Statistics) -> float:
    """Returns tr (C1 C2)^(1/2) of the two covariances, as the module's docstring explains.

    It raises the same errors as `frechet_distance`.
    """
    lower_1, lower_2 = _cholesky(first), _cholesky(second)
    if lower_1 is not None and lower_2 is not None:
        inner = lower_1.T @ second.covariance @ lower_1
        return float(np.sqrt(np.maximum(np.linalg.eigvalsh(inner), 0)).sum())
    factor_1 = _factor(first) if lower_1 is None else lower_1.T
    factor_2 = _factor(second) if lower_2 is None else lower_2.T
    return float(np.linalg.svd(factor_1 @ factor_2.T, compute_uv=False).sum())


def _trace(statistics: Statistics) -> float:
    if statistics.count < 2:
        raise UserError(f"a Frechet distance needs at least 2 images in each set, got {statistics.count}")
    return statistics.trace / (statistics.count - 1)


@functools.lru_cache(_KEPT)
def _cholesky(statistics: Statistics) -> np.ndarray | None:
    """Returns the lower triangular L with LL' = C, float64 [dims, dims], or None unless C clearly has full rank."""
    if statistics.count <= statistics.dims:
        return None
    try:
        lower = np.linalg.cholesky(statistics.covariance)
    except np.linalg.LinAlgError:
        return None
    pivots = np.diagonal(lower) ** 2
    # Rounding can let a singular matrix pass. Its pivots are then noise, and the roots of eigenvalues would be too.
    return lower if pivots.min() > _LEAST_PIVOT * pivots.max() else None


@functools.lru_cache(_KEPT)
def _factor(statistics: Statistics) -> np.ndarray:
    """Returns F [rank or count, dims] with F'F = C, for a covariance of any rank."""
    if statistics.features is not None:
        return (statistics.features - statistics.mean) / np.sqrt(statistics.count - 1)
    values, vectors = np.linalg.eigh(statistics.covariance)
    kept = values > EIGENVALUE_CLIP * values[-1]
    return (vectors[:, kept] * np.sqrt(values[kept])).T
