"""How far each image of one set lies from the nearest image of the other, in features: which images to look at.

The fake images farthest from every real one are where a colorizer goes wrong; the nearest show what it does best.
"""

import numpy as np

from coltran.errors import UserError

_BLOCK_VALUES = 4_000_000  # float64 values of a block: 32 MB


def nearest_distances(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Measures the Euclidean distance of each fake feature vector to its nearest real one.

    Works on blocks of rows of both sides, so that besides the arguments it holds below 200 MB at any number of images.

    Args:
      fake: float [images, dims].
      real: float [others, dims], at least one.

    Returns:
      float64 [images]; 0 where the same vector is on both sides.

    Raises:
      UserError: arrays without two axes, different dims, or no real vector.
    """
    fake, real = np.asarray(fake), np.asarray(real)
    if fake.ndim != 2 or real.ndim != 2 or fake.shape[1] != real.shape[1]:
        raise UserError(f"expected two arrays [images, dims] with the same dims, got {fake.shape} and {real.shape}")
    if not len(real):
        raise UserError("expected at least one real image to measure distances to, got none")
    rows = int(np.clip(_BLOCK_VALUES // max(fake.shape[1], 1), 1, 2000))
    # Distances do not change when both sets move, and near the origin their squares lose fewest digits.
    center = real.mean(axis=0, dtype=np.float64)
    nearest = np.zeros(len(fake))
    for start in range(0, len(fake), rows):
        block = fake[start : start + rows]
        which = _nearest_rows(block - center, real, center, rows)
        # |x|^2 + |y|^2 - 2 x.y cancels for vectors that are close: the found pair is measured by its difference.
        nearest[start : start + rows] = np.linalg.norm(block.astype(np.float64) - real[which], axis=1)
    return nearest


def _nearest_rows(block: np.ndarray, real: np.ndarray, center: np.ndarray, rows: int) -> np.ndarray:
    """int [images]: for each centered vector the index of the nearest of `real`, the first of several."""
    best, which = np.full(len(block), np.inf), np.zeros(len(block), np.intp)
    for start in range(0, len(real), rows):
        others = real[start : start + rows] - center
        # Without |x|^2, which is the same for all candidates.
        squares = np.einsum("ij,ij->i", others, others) - 2 * (block @ others.T)
        found = squares.argmin(axis=1)
        least = squares[np.arange(len(block)), found]
        better = least < best
        best[better], which[better] = least[better], found[better] + start
    return which


def extremes(distances: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds where the smallest and the largest values are.

    Args:
      distances: float [images].
      count: how many of each; all of them where there are fewer.

    Returns:
      int [count] twice: the indices of the smallest, ascending, and of the largest, descending. Equal values stay in
      the order of their indices on both sides.
    """
    distances = np.asarray(distances)
    smallest = np.argsort(distances, kind="stable")[:count]
    largest = np.argsort(-distances, kind="stable")[:count]
    return smallest, largest
