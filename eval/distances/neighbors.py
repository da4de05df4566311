"""Measures in features how far each image of one set lies from the nearest image of the other.

This finds the images that are worth a look. The fake images farthest from all real ones show where a colorizer goes
wrong, and the nearest ones show what it does best.
"""

import numpy as np

from coltran.errors import UserError

_BLOCK_VALUES = 4_000_000  # float64 values of a block: 32 MB


def nearest_distances(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Measures the Euclidean distance of each fake feature vector to its nearest real one.

    It works on blocks of rows of both sides. Besides the arguments, it needs less than 200 MB for any number of images.

    Args:
      fake: float [images, dims].
      real: float [others, dims], at least one.

    Returns:
      float64 [images]. The distance is 0 for a vector that is on both sides.

    Raises:
      UserError: an array does not have two axes, the dims differ, or there is no real vector.
    """
    fake, real = np.asarray(fake), np.asarray(real)
    if fake.ndim != 2 or real.ndim != 2 or fake.shape[1] != real.shape[1]:
        raise UserError(f"expected two arrays [images, dims] with the same dims, got {fake.shape} and {real.shape}")
    if not len(real):
        raise UserError("expected at least one real image to measure distances to, got none")
    rows = int(np.clip(_BLOCK_VALUES // max(fake.shape[1], 1), 1, 2000))
    # Distances do not change when both sets move, and near the origin their squares lose the fewest digits.
    center = real.mean(axis=0, dtype=np.float64)
    nearest = np.zeros(len(fake))
    for start in range(0, len(fake), rows):
        block = fake[start : start + rows]
        which = _nearest_rows(block - center, real, center, rows)
        # |x|^2 + |y|^2 - 2 x.y loses digits for close vectors, so we measure the pair that we found by its difference.
        nearest[start : start + rows] = np.linalg.norm(block.astype(np.float64) - real[which], axis=1)
    return nearest


def _nearest_rows(block: np.ndarray, real: np.ndarray, center: np.ndarray, rows: int) -> np.ndarray:
    """Returns int [images]: for each centered vector the index of the nearest of `real`, or the first of several."""
    best, which = np.full(len(block), np.inf), np.zeros(len(block), np.intp)
    for start in range(0, len(real), rows):
        others = real[start : start + rows] - center
        # We leave out |x|^2, which is the same for all candidates.
        squares = np.einsum("ij,ij->i", others, others) - 2 * (block @ others.T)
        found = squares.argmin(axis=1)
        least = squares[np.arange(len(block)), found]
        better = least < best
        best[better], which[better] = least[better], found[better] + start
    return which


def extremes(distances: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the positions of the smallest and of the largest values.

    Args:
      distances: float [images].
      count: how many positions of each kind to return. If there are fewer values, all are returned.

    Returns:
      int [count] twice: the indices of the smallest values, ascending, and of the largest values, descending. Equal
      values stay in the order of their indices in both.
    """
    distances = np.asarray(distances)
    smallest = np.argsort(distances, kind="stable")[:count]
    largest = np.argsort(-distances, kind="stable")[:count]
    return smallest, largest
