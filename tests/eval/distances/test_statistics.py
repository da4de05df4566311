"""Merging statistics, in plain Python and in the Beam combiner, against NumPy's own mean and covariance."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from coltran.errors import UserError
from eval.distances.combine import CombineStatistics
from eval.distances.frechet import frechet_distance
from eval.distances.statistics import Statistics

DIMS = 6


def _features(count: int, seed: int = 0, offset: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(DIMS, DIMS))
    return (generator.normal(size=(count, DIMS)) @ mixing + offset).astype(np.float32)


def _assert_describes(statistics: Statistics, features: np.ndarray) -> None:
    features = features.astype(np.float64)
    assert statistics.count == len(features)
    np.testing.assert_allclose(statistics.mean, features.mean(0), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(statistics.covariance, np.cov(features, rowvar=False), rtol=1e-9, atol=1e-9)


@st.composite
def _partitions(draw):
    """Cuts of 40 vectors into batches, some of them empty, in any order."""
    cuts = sorted(draw(st.lists(st.integers(0, 40), max_size=8)))
    parts = np.split(_features(40, offset=100.0), cuts)
    return draw(st.permutations(parts))


@given(_partitions(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_any_order_and_tree_of_merges(parts, random):
    merged = [Statistics.from_features(part) for part in parts]
    while len(merged) > 1:
        second = merged.pop(random.randrange(len(merged)))
        first = merged.pop(random.randrange(len(merged)))
        merged.append(first.merge(second))
    _assert_describes(merged[0], _features(40, offset=100.0))


@given(_partitions(), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_combiner_for_any_batches_and_bundles(parts, bundles):
    combine = CombineStatistics(DIMS)
    accumulators = [combine.create_accumulator() for _ in range(bundles)]
    for i, part in enumerate(parts):
        accumulators[i % bundles] = combine.add_input(accumulators[i % bundles], part)
    combined = combine.extract_output(combine.merge_accumulators(accumulators))
    whole = Statistics.from_features(_features(40, offset=100.0))
    _assert_describes(combined, _features(40, offset=100.0))
    other = Statistics.from_features(_features(30, seed=1, offset=101.0))
    assert frechet_distance(combined, other) == pytest.approx(frechet_distance(whole, other), rel=1e-10)


def test_a_large_common_offset_does_not_eat_the_digits():
    # Sums of squares would lose all 16 of them here: 1e8 squared is 1e16.
    first, second = _features(500, 1).astype(np.float64), _features(300, 2).astype(np.float64)
    merged = Statistics.from_features(first + 1e8).merge(Statistics.from_features(second + 1e8))
    expected = np.cov(np.concatenate([first, second]), rowvar=False)
    np.testing.assert_allclose(merged.covariance, expected, rtol=1e-6, atol=1e-6)


def test_features_are_kept_only_while_the_covariance_lacks_rank():
    few, one = Statistics.from_features(_features(DIMS - 1)), Statistics.from_features(_features(1))
    assert few.merge(one).features.shape == (DIMS, DIMS)
    assert few.merge(few).features is None
    assert Statistics.from_features(_features(DIMS + 1)).features is None


def test_the_empty_set_changes_nothing():
    some = Statistics.from_features(_features(9))
    assert Statistics.empty(DIMS).merge(some) is some
    assert some.merge(Statistics.empty(DIMS)) is some
    combine = CombineStatistics(DIMS)
    assert combine.extract_output(combine.create_accumulator()).count == 0


@pytest.mark.parametrize("count", [0, 1, DIMS, DIMS + 1])
def test_pickled_statistics_are_the_same(count):
    some = Statistics.from_features(_features(count))
    again = pickle.loads(pickle.dumps(some))
    assert again.count == count
    assert (again.features is None) == (some.features is None)
    np.testing.assert_array_equal(again.mean, some.mean)
    np.testing.assert_array_equal(again.scatter, some.scatter)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    features = _features(5)
    features[3, 2] = bad
    with pytest.raises(UserError, match=r"1 of 5 feature vectors hold NaN or infinity \(the first is number 3\)"):
        Statistics.from_features(features)


def test_wrong_shapes_are_refused():
    with pytest.raises(UserError, match=r"\[count, dims\], got \(6,\)"):
        Statistics.from_features(_features(1)[0])
    with pytest.raises(UserError, match="6 and of 5 dimensions"):
        Statistics.from_features(_features(3)).merge(Statistics.from_features(_features(3)[:, :5]))
    with pytest.raises(UserError, match="at least 2 images, got 1"):
        _ = Statistics.from_features(_features(1)).covariance
