"""Frechet distances against other tools' values, TF-GAN's own function, and the closed form for diagonal Gaussians."""

import json

import numpy as np
import pytest

from coltran.errors import UserError
from eval.distances.frechet import frechet_distance
from eval.distances.statistics import Statistics


@pytest.fixture(scope="module")
def expected(parity_file):
    """`expected("A_B_2048_N200")` -> the nuclear-norm value and the clipped value, to six digits."""
    values = json.loads(parity_file("fid_values.json").read_text())["fid"]
    return lambda name: (float(values[name]["nuclear-norm SVD"]), float(values[name]["eigh+eigvalsh clip1e-14"]))


def _without_features(statistics: Statistics) -> Statistics:
    return Statistics(count=statistics.count, mean=statistics.mean, scatter=statistics.scatter)


def _synthetic(dims: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The two feature sets of the `synth_*` values: mixtures of a few directions, cut off at 0."""
    generator = np.random.Generator(np.random.PCG64(seed))
    rank = max(4, dims // 8)
    directions = (generator.random((rank, dims)) - 0.5) / np.sqrt(np.arange(1, rank + 1))[:, None]
    sets = []
    for center, noise, offset in ((0.5, 0.25, 0.2), (0.45, 0.3, 0.21)):
        mixed = (generator.random((count, rank)) - center) @ directions
        mixed = mixed + noise * (generator.random((count, dims)) - 0.5) + offset
        sets.append(np.maximum(mixed, 0).astype(np.float32))
    return sets[0], sets[1]


def _check(first: np.ndarray, second: np.ndarray, values: tuple[float, float]) -> None:
    first, second = Statistics.from_features(first), Statistics.from_features(second)
    exact, clipped = values
    assert frechet_distance(first, second) == pytest.approx(exact, abs=1.5e-6)
    assert frechet_distance(second, first) == pytest.approx(exact, abs=1.5e-6)
    bare = frechet_distance(_without_features(first), _without_features(second))
    assert min(abs(bare - clipped), abs(bare - exact)) < 1.5e-6
    for statistics in (first, _without_features(first)):
        assert frechet_distance(statistics, first) < 1e-6


@pytest.mark.parametrize(("dims", "count", "seed"), [(64, 500, 1), (256, 1000, 2)])
def test_full_rank(dims, count, seed, expected):
    _check(*_synthetic(dims, count, seed), expected(f"synth_d{dims}_N{count}_s{seed}"))


@pytest.mark.slow
def test_full_rank_at_full_size(expected):
    _check(*_synthetic(2048, 5000, 3), expected("synth_d2048_N5000_s3"))


@pytest.mark.parametrize("other", ["B", "Bgray"])
@pytest.mark.parametrize("dims", [64, pytest.param(2048, marks=pytest.mark.slow)])
def test_photos(other, dims, parity, expected):
    features = parity("features200.npz", dims)
    name = f"A_{other}_2048_N200" if dims == 2048 else f"A_{other}_first64_N200"
    _check(features["A"][:, :dims], features[other][:, :dims], expected(name))


def test_one_set_with_features_and_one_of_full_rank():
    first, second = _synthetic(64, 500, 1)
    small, large = Statistics.from_features(first[:50]), Statistics.from_features(second)
    assert small.features is not None
    assert large.features is None
    root = _product_root_trace(small.covariance, large.covariance)
    by_definition = np.sum((small.mean - large.mean) ** 2) + np.trace(small.covariance + large.covariance) - 2 * root
    assert frechet_distance(small, large) == pytest.approx(by_definition, rel=1e-5)
    assert frechet_distance(_without_features(small), large) == pytest.approx(frechet_distance(small, large), rel=1e-8)


def _product_root_trace(first: np.ndarray, second: np.ndarray) -> float:
    values = np.linalg.eigvals(first @ second).real
    return float(np.sqrt(np.maximum(values, 0)).sum())


def test_closed_form_of_diagonal_gaussians():
    scales_1, scales_2, shift = np.array([1.0, 2.0, 0.5]), np.array([3.0, 1.0, 0.5]), np.array([1.0, -2.0, 0.0])
    first = Statistics(count=11, mean=np.zeros(3), scatter=10 * np.diag(scales_1**2))
    second = Statistics(count=21, mean=shift, scatter=20 * np.diag(scales_2**2))
    closed = np.sum(shift**2) + np.sum((scales_1 - scales_2) ** 2)
    assert frechet_distance(first, second) == pytest.approx(closed, rel=1e-12)


def test_a_constant_feature_is_no_obstacle():
    # Dead units make a covariance singular at any count; Cholesky may or may not notice.
    first, second = _synthetic(64, 500, 1)
    with_dead = [np.concatenate([x, np.full((500, 3), 0.7, np.float32), x[:, :2]], axis=1) for x in (first, second)]
    first, second = (Statistics.from_features(x) for x in with_dead)
    between = np.sum((first.mean - second.mean) ** 2)
    root = _product_root_trace(first.covariance, second.covariance)
    assert frechet_distance(first, second) == pytest.approx(
        between + np.trace(first.covariance + second.covariance) - 2 * root, abs=1e-5
    )
    assert frechet_distance(first, first) < 1e-6


@pytest.mark.parametrize(("dims", "count"), [(64, 500), (128, 100)])
def test_tfgan_gives_the_same(dims, count):
    from eval.features.tfgan_import import import_tfgan_eval

    first, second = _synthetic(dims, count, 4)
    theirs = import_tfgan_eval().frechet_classifier_distance_from_activations(
        first.astype(np.float64), second.astype(np.float64)
    )
    ours = frechet_distance(Statistics.from_features(first), Statistics.from_features(second))
    assert ours == pytest.approx(float(theirs), rel=1e-6)


def test_too_few_or_mismatched_sets_are_refused():
    first, _ = _synthetic(64, 10, 1)
    one, ten = Statistics.from_features(first[:1]), Statistics.from_features(first)
    with pytest.raises(UserError, match="at least 2 images in each set, got 1"):
        frechet_distance(one, ten)
    with pytest.raises(UserError, match="64 and of 60 dimensions"):
        frechet_distance(ten, Statistics.from_features(first[:, :60]))
    with pytest.raises(UserError, match="NaN or infinity"):
        frechet_distance(ten, Statistics(count=ten.count, mean=ten.mean * np.nan, features=ten.features))
