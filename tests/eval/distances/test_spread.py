"""How sure an FID is: against brute force over merged features, and against distributions whose distance is known."""

import dataclasses

import numpy as np
import pytest

from coltran.errors import UserError
from eval.distances.floor import expected_floor
from eval.distances.frechet import frechet_distance
from eval.distances.spread import measure_spread
from eval.distances.statistics import Statistics

DIMS = 4


def _features(count: int, seed: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIMS)) * np.arange(1, DIMS + 1) * scale + scale


def _dealt(features: np.ndarray, groups: int) -> list[Statistics]:
    return [Statistics.from_features(part) for part in np.array_split(features, groups)]


def _brute(real: np.ndarray, fake: np.ndarray, groups: int, members) -> float:
    """The distance of some groups, from their features."""
    parts = [np.array_split(side, groups) for side in (real, fake)]
    first, second = (Statistics.from_features(np.concatenate([part[i] for i in members])) for part in parts)
    return frechet_distance(first, second)


@pytest.mark.parametrize("groups", [3, 4, 7, 10, 25])
def test_the_jackknife_by_brute_force(groups):
    real, fake = _features(20 * groups + 1, 1), _features(20 * groups, 2, 1.2)
    spread = measure_spread(_dealt(real, groups), _dealt(fake, groups))
    fid = _brute(real, fake, groups, range(groups))
    without = [_brute(real, fake, groups, [i for i in range(groups) if i != left]) for left in range(groups)]
    pseudo = groups * fid - (groups - 1) * np.array(without)  # Tukey's pseudo-values
    assert spread.fid == pytest.approx(fid, rel=1e-10)
    assert spread.corrected == pytest.approx(pseudo.mean(), rel=1e-9)
    assert spread.standard_error == pytest.approx(pseudo.std(ddof=1) / np.sqrt(groups), rel=1e-8)
    assert spread.curve[-1] == (20 * groups, pytest.approx(fid))
    assert spread.curve[-2] == (20 * groups - 20, pytest.approx(np.mean(without)))


@pytest.mark.parametrize("groups", [10, 7])
def test_the_curve_by_brute_force(groups):
    real, fake = _features(30 * groups, 3), _features(30 * groups, 4, 1.2)
    curve = measure_spread(_dealt(real, groups), _dealt(fake, groups)).curve
    sizes = {10: [5, 6, 7, 8, 9, 10], 7: [3, 4, 5, 6, 7]}[groups]
    assert [count for count, _ in curve] == [30 * size for size in sizes]
    half = groups // 2
    for size, (_, mean) in zip(sizes[:-2], curve[:-2], strict=True):
        windows = range(size), [i % groups for i in range(groups - half, groups - half + size)]
        assert mean == pytest.approx(np.mean([_brute(real, fake, groups, window) for window in windows]), rel=1e-9)


def test_the_extrapolation_is_the_line_through_the_curve():
    spread = measure_spread(_dealt(_features(300, 5), 10), _dealt(_features(300, 6, 1.3), 10))
    counts, distances = np.array(spread.curve).T
    assert spread.infinite == pytest.approx(np.polyfit(1 / counts, distances, 1)[1], rel=1e-9)
    assert spread.standard_error <= spread.infinite_standard_error < 1.1 * spread.standard_error


@pytest.fixture(scope="module")
def simulated():
    """`simulated(same)` -> 160 spreads of 160 images of two Gaussians, and their true distance."""

    def simulate(same: bool):
        generator = np.random.default_rng(7)
        scales = 1 / np.sqrt(np.arange(1, 9))
        others, shift = (scales, 0.0) if same else (scales[::-1], 0.3)
        truth = np.sum((scales - others) ** 2) + 8 * shift**2
        spreads = [
            measure_spread(
                _dealt(generator.normal(size=(160, 8)) * scales, 10),
                _dealt(generator.normal(size=(160, 8)) * others + shift, 10),
            )
            for _ in range(160)
        ]
        return spreads, truth

    return {same: simulate(same) for same in (False, True)}.__getitem__


def _column(spreads, name: str) -> np.ndarray:
    return np.array([getattr(spread, name) for spread in spreads])


@pytest.mark.parametrize("same", [False, True])
def test_the_bias_is_removed(same, simulated):
    spreads, truth = simulated(same)
    raw = _column(spreads, "fid")
    noise = raw.std() / np.sqrt(len(raw))
    bias = raw.mean() - truth
    assert bias > 4 * noise
    for name in ("corrected", "infinite"):
        estimates = _column(spreads, name)
        assert abs(estimates.mean() - truth) < max(3 * estimates.std() / np.sqrt(len(raw)), 0.05 * bias), name
    if same:
        assert min(_column(spreads, "infinite")) < 0
        gaussian = Statistics(count=2, mean=np.zeros(8), scatter=np.diag(1 / np.arange(1.0, 9)))
        assert raw.mean() == pytest.approx(expected_floor(gaussian, 160), abs=3 * noise)


def test_the_standard_errors_are_the_scatter(simulated):
    spreads, _ = simulated(False)
    for name, error in [
        ("fid", "standard_error"),
        ("corrected", "standard_error"),
        ("infinite", "infinite_standard_error"),
    ]:
        claimed = np.sqrt(np.mean(_column(spreads, error) ** 2))
        assert claimed == pytest.approx(_column(spreads, name).std(ddof=1), rel=0.2), name


def test_two_sets_of_one_distribution_have_a_cautious_error(simulated):
    spreads, _ = simulated(True)
    claimed = np.sqrt(np.mean(_column(spreads, "standard_error") ** 2))
    assert 1 < claimed / _column(spreads, "fid").std(ddof=1) < 1.8
    claimed = np.sqrt(np.mean(_column(spreads, "infinite_standard_error") ** 2))
    assert claimed == pytest.approx(_column(spreads, "infinite").std(ddof=1), rel=0.3)


def test_pairs_are_left_out_together():
    # Every group is off by the same shift: whatever is left out on both sides, the distance is that shift squared.
    real = _features(200, 8)
    paired = measure_spread(_dealt(real, 10), _dealt(real + 0.5, 10))
    assert paired.fid == pytest.approx(DIMS * 0.25)
    assert paired.standard_error < 1e-9
    assert paired.infinite == pytest.approx(paired.fid)
    turned = _dealt(real + 0.5, 10)
    assert measure_spread(_dealt(real, 10), turned[1:] + turned[:1]).standard_error > 1e-3


def test_one_side_in_one_group():
    real, fake = _features(200, 9), _features(200, 10, 1.2)
    whole, dealt = Statistics.from_features(real), _dealt(fake, 10)
    seen = []
    spread = measure_spread([whole], dealt, lambda done, total: seen.append((done, total)))
    without = [
        frechet_distance(whole, Statistics.from_features(np.delete(fake, np.s_[20 * left : 20 * left + 20], axis=0)))
        for left in range(10)
    ]
    assert spread.standard_error == pytest.approx(np.std(without) * 3, rel=1e-9)  # sqrt(9 / 10) sqrt(10) = 3
    assert spread.fid == pytest.approx(frechet_distance(whole, Statistics.from_features(fake)))
    assert (spread.corrected, spread.infinite, spread.infinite_standard_error, spread.curve) == (None, None, None, ())
    assert seen == [(done, 11) for done in range(1, 12)]
    swapped = measure_spread(dealt, [whole])
    assert (swapped.fid, swapped.standard_error) == pytest.approx((spread.fid, spread.standard_error))


def test_progress_counts_to_the_total():
    seen = []
    measure_spread(_dealt(_features(60, 1), 10), _dealt(_features(60, 2), 10), lambda *state: seen.append(state))
    assert seen == [(done, 19) for done in range(1, 20)]


def test_too_few_groups_or_images_give_only_the_distance():
    real, fake = _features(40, 11), _features(40, 12, 1.2)
    for groups in (1, 2):
        spread = measure_spread(_dealt(real, groups), _dealt(fake, groups))
        assert dataclasses.astuple(spread) == (pytest.approx(_brute(real, fake, 1, [0])), None, None, None, None, ())
    # Three images in three groups: one without a group is of two images, a half of one.
    tiny = measure_spread(_dealt(real[:3], 3), _dealt(fake[:3], 3))
    assert tiny.standard_error > 0
    assert tiny.curve == ()
    assert tiny.corrected is tiny.infinite is None


def test_no_bias_is_told_from_fewer_images_than_dims():
    # 4 dims: halves of 4 images have no full rank, but 7 of 8 images have.
    spread = measure_spread(_dealt(_features(8, 13), 8), _dealt(_features(8, 14), 8))
    assert spread.corrected is not None
    assert spread.infinite is spread.infinite_standard_error is None
    assert len(spread.curve) >= 4
    few = measure_spread(_dealt(_features(5, 13), 5), _dealt(_features(5, 14), 5))
    assert few.standard_error > 0
    assert few.corrected is None


def test_groups_that_do_not_fit_are_refused():
    groups = _dealt(_features(40, 1), 4)
    with pytest.raises(ValueError, match="as many groups on both sides, got 4 and 3"):
        measure_spread(groups, groups[:3])
    with pytest.raises(ValueError, match="sizes equal within 1, got 10 to 20"):
        measure_spread(groups, [groups[0], groups[1], groups[2].merge(groups[3]), groups[3]])
    with pytest.raises(UserError, match="got none"):
        measure_spread([], groups)
    with pytest.raises(UserError, match="at least 2 images in each set, got 1"):
        measure_spread(_dealt(_features(1, 1), 1), groups)
