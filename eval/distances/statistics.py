"""Sums up features into count, mean and covariance, in a form that merges.

This is the second of the three steps of an FID: features -> statistics -> distance. You can sum up parts of a set in
any order on any machine. The merged statistics equal those of the whole set up to float64 rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from coltran.errors import UserError


class Statistics:
    """The statistics of a set of feature vectors. An instance never changes.

    Attributes:
      count: number of vectors.
      mean: float64 [dims]; zeros if count is 0.
      scatter: float64 [dims, dims], the sum over vectors of (x - mean)(x - mean)'. Unlike the covariance, it merges
        without a division and exists for one vector too. If features are kept, it is computed from them on demand,
        because for a small set its 33 MB at 2048 dims are most of the work.
      features: [count, dims] as they came, or None. They are kept while count <= dims. The covariance of so few vectors
        does not have full rank, and the distance from it alone is inexact. Their order has no meaning.
    """

    def __init__(
        self, *, count: int, mean: np.ndarray, scatter: np.ndarray | None = None, features: np.ndarray | None = None
    ) -> None:
        """Takes the attributes. You may leave out either `scatter` or `features`."""
        if scatter is None and features is None:
            raise ValueError("statistics need a scatter matrix or features")
        self.count = count
        self.mean = mean
        self.features = features
        if scatter is not None:
            self.scatter = scatter

    @functools.cached_property
    def scatter(self) -> np.ndarray:
        """The scatter matrix of the kept features, float64 [dims, dims]."""
        centered = self.features - self.mean
        return centered.T @ centered

    @property
    def trace(self) -> float:
        """The trace of the scatter matrix. If features are kept, it is computed without the matrix itself."""
        if self.features is not None:
            return float(np.sum((self.features - self.mean) ** 2))
        return float(np.trace(self.scatter))

    @classmethod
    def empty(cls, dims: int) -> Statistics:
        """Returns the statistics of no vectors. Merging them changes nothing."""
        return cls(count=0, mean=np.zeros(dims), features=np.zeros((0, dims), np.float32))

    @classmethod
    def from_features(cls, features: np.ndarray) -> Statistics:
        """Sums up vectors.

        Args:
          features: [count, dims], any float type, finite.

        Raises:
          UserError: a value is NaN or infinite, or the array does not have two axes.
        """
        features = np.asarray(features)
        if features.ndim != 2:
            raise UserError(f"expected features of shape [count, dims], got {features.shape}")
        count, dims = features.shape
        if not count:
            return cls.empty(dims)
        bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if bad.size:
            raise UserError(
                f"{bad.size} of {count} feature vectors hold NaN or infinity (the first is number {bad[0]}): "
                "the weights are damaged, or the images are not uint8 RGB"
            )
        mean = features.mean(axis=0, dtype=np.float64)
        if count <= dims:
            return cls(count=count, mean=mean, features=features)
        centered = features - mean
        return cls(count=count, mean=mean, scatter=centered.T @ centered)

    def __reduce__(self) -> tuple[Callable[..., Statistics], tuple[object, ...]]:
        # Between workers, the features are enough. They take a few kilobytes each, and the scatter matrix takes 33 MB.
        if self.features is not None:
            return Statistics.from_features, (self.features,)
        return _without_features, (self.count, self.mean, self.scatter)

    @property
    def dims(self) -> int:
        """The length of a feature vector."""
        return self.mean.shape[0]

    @property
    def covariance(self) -> np.ndarray:
        """The covariance, float64 [dims, dims], divided by count - 1 as in every FID tool.

        Raises:
          UserError: there are fewer than 2 vectors.
        """
        if self.count < 2:
            raise UserError(f"a covariance needs at least 2 images, got {self.count}")
        return self.scatter / (self.count - 1)

    def merge(self, other: Statistics) -> Statistics:
        """Returns the statistics of both sets together (Chan, Golub and LeVeque 1979).

        The method is stable even if the means are far from 0.

        Raises:
          UserError: the dims differ.
        """
        if self.dims != other.dims:
            raise UserError(f"cannot merge features of {self.dims} and of {other.dims} dimensions")
        if not other.count:
            return self
        if not self.count:
            return other
        count = self.count + other.count
        if count <= self.dims and self.features is not None and other.features is not None:
            return Statistics.from_features(np.concatenate([self.features, other.features]))
        step = other.mean - self.mean
        scatter = np.outer(step, step)
        scatter *= self.count * other.count / count
        scatter += self.scatter
        scatter += other.scatter
        return Statistics(count=count, mean=self.mean + step * (other.count / count), scatter=scatter)


def _without_features(count: int, mean: np.ndarray, scatter: np.ndarray) -> Statistics:
    return Statistics(count=count, mean=mean, scatter=scatter)
