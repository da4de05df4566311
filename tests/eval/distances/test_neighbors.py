"""Nearest neighbors in blocks against SciPy's distances of all pairs."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from coltran.errors import UserError
from eval.distances import neighbors
from eval.distances.neighbors import extremes, nearest_distances


@pytest.mark.parametrize("block_values", [3, 50, 4_000_000])
@pytest.mark.parametrize(("fakes", "reals"), [(1, 1), (23, 40), (40, 7)])
def test_all_pairs_by_scipy(fakes, reals, block_values, monkeypatch):
    monkeypatch.setattr(neighbors, "_BLOCK_VALUES", block_values)
    generator = np.random.default_rng(1)
    fake, real = (generator.normal(size=(count, 5)).astype(np.float32) for count in (fakes, reals))
    distances = nearest_distances(fake, real)
    assert distances.dtype == np.float64
    np.testing.assert_allclose(distances, cdist(fake, real).min(axis=1), rtol=1e-12)


def test_close_pairs_far_from_the_origin():
    generator = np.random.default_rng(2)
    real = generator.normal(size=(50, 8)) + 1e4
    fake = real[::-1][:20] + 1e-5
    fake[3] = real[5]
    distances = nearest_distances(fake, real)
    assert distances[3] == 0
    np.testing.assert_allclose(np.delete(distances, 3), 1e-5 * np.sqrt(8), rtol=1e-4)


def test_no_fake_images_have_no_distances():
    assert nearest_distances(np.zeros((0, 3)), np.zeros((2, 3))).shape == (0,)


def test_memory_stays_bounded():
    # All pairs would be 800 MB.
    fake, real = np.ones((10000, 8), np.float32), np.ones((10000, 8), np.float32)
    tracemalloc.start()
    try:
        nearest_distances(fake, real)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


def test_wrong_arrays_are_refused():
    with pytest.raises(UserError, match=r"same dims, got \(2, 3\) and \(2, 4\)"):
        nearest_distances(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(UserError, match="at least one real image"):
        nearest_distances(np.zeros((2, 3)), np.zeros((0, 3)))


def test_extremes_in_stable_order():
    distances = np.array([3.0, 1.0, 2.0, 1.0, 3.0, 0.5])
    smallest, largest = extremes(distances, 3)
    assert smallest.tolist() == [5, 1, 3]
    assert largest.tolist() == [0, 4, 2]
    smallest, largest = extremes(distances, 99)
    assert smallest.tolist() == [5, 1, 3, 2, 0, 4]
    assert largest.tolist() == [0, 4, 2, 1, 3, 5]
    assert [len(part) for part in extremes(distances, 0)] == [0, 0]
