"""The distance of two sets of one distribution, against simulation and against the case that has a closed form."""

import numpy as np
import pytest

from coltran.errors import UserError
from eval.distances.floor import expected_floor
from eval.distances.frechet import frechet_distance
from eval.distances.statistics import Statistics


def _of_covariance(covariance: np.ndarray) -> Statistics:
    return Statistics(count=101, mean=np.zeros(len(covariance)), scatter=100 * covariance)


@pytest.mark.parametrize("decay", [0.0, 2.0])
def test_simulated_pairs_of_sets(decay):
    generator = np.random.default_rng(1)
    mixing = generator.normal(size=(6, 6)) * np.arange(1.0, 7) ** -decay
    covariance = mixing @ mixing.T
    distances = [
        frechet_distance(*(Statistics.from_features(generator.normal(size=(400, 6)) @ mixing.T) for _ in range(2)))
        for _ in range(1500)
    ]
    noise = np.std(distances) / np.sqrt(len(distances))
    expected = expected_floor(_of_covariance(covariance), 400)
    assert noise < 0.03 * expected
    assert np.mean(distances) == pytest.approx(expected, abs=3 * noise + 0.01 * expected)


def test_a_round_distribution():
    # l = 1 for all d: 2 d for the means, d (d + 1) / 2 for the covariances.
    assert expected_floor(_of_covariance(np.eye(5)), 10) == pytest.approx((10 + 15) / 10)
    assert expected_floor(_of_covariance(3 * np.eye(5)), 1000) == pytest.approx(3 * 25 / 1000)


def test_two_directions_by_hand():
    # 2 (1 + 4) + [1 + 4 + 2 * 4 / 5] = 16.6, in any rotation.
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert expected_floor(_of_covariance(turn @ np.diag([1.0, 4.0]) @ turn.T), 2) == pytest.approx(8.3)


def test_directions_without_spread_add_nothing():
    padded = np.zeros((7, 7))
    padded[:5, :5] = np.eye(5)
    assert expected_floor(_of_covariance(padded), 10) == pytest.approx(2.5)
    assert expected_floor(_of_covariance(np.zeros((3, 3))), 10) == 0
    few = np.random.default_rng(2).normal(size=(4, 50))  # rank 3
    assert 0 < expected_floor(Statistics.from_features(few), 100) < np.inf


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match="at least 2 images in each set, got 1"):
        expected_floor(_of_covariance(np.eye(2)), 1)
    with pytest.raises(UserError, match="at least 2 images, got 1"):
        expected_floor(Statistics.from_features(np.zeros((1, 2))), 10)
