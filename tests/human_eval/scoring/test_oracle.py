"""Oracle, figure-11 categories, agreement and differences against exact values that others computed."""

import itertools

import numpy as np
import pytest

from human_eval.scoring import agreement, categories, differences, oracle

FIVE = np.full((1, 3), 5)


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.333, 0.509), (0.354, 0.533), (0.405, 0.588), (0.415, 0.598), (0.423, 0.607), (0.5, 0.685)]
)
def test_the_best_of_three_by_luck_alone(rate, expected):
    assert oracle.expected_under_noise(FIVE, rate) == pytest.approx(expected, abs=0.0005)


def test_luck_with_unequal_numbers_of_ratings_is_what_drawing_gives():
    n = np.array([[5, 3, 2]])
    drawn = np.random.default_rng(0).binomial(n, 0.4, (40_000, 3))
    assert oracle.expected_under_noise(n, 0.4) == pytest.approx(oracle.naive(drawn, n).mean(), abs=0.005)


@pytest.mark.parametrize("hold_out", [1, 2])
def test_cross_validation_is_the_mean_over_all_ways_to_hold_out(hold_out):
    answers = [[1, 1, 0, 1, 0], [0, 1, 1, 1], [1, 0, 0]]
    scores = []
    ways = [list(itertools.combinations(range(len(own)), hold_out)) for own in answers]
    for held in itertools.product(*ways):
        rest = [np.mean([a for i, a in enumerate(own) if i not in out]) for own, out in zip(answers, held, strict=True)]
        best = [s for s in range(3) if rest[s] == max(rest)]
        scores.append(np.mean([np.mean([answers[s][i] for i in held[s]]) for s in best]))
    fooled, n = np.array([[sum(own) for own in answers]]), np.array([[len(own) for own in answers]])
    assert oracle.cross_validated(fooled, n, hold_out=hold_out)[0] == pytest.approx(np.mean(scores))


def test_cross_validation_finds_no_oracle_where_there_is_none():
    fooled = np.random.default_rng(1).binomial(5, 0.415, (20_000, 3))
    n = np.full_like(fooled, 5)
    assert oracle.naive(fooled, n).mean() == pytest.approx(0.598, abs=0.005)
    assert oracle.cross_validated(fooled, n).mean() == pytest.approx(0.415, abs=0.007)
    with pytest.raises(ValueError, match="holding out 5"):
        oracle.cross_validated(fooled, n, hold_out=5)


def test_where_samples_differ_the_truth_lies_between():
    rng = np.random.default_rng(6)
    chance = 1 / (1 + np.exp(-rng.normal(-0.4, 1.2, (20_000, 3))))
    fooled = rng.binomial(5, chance)
    n = np.full_like(fooled, 5)
    truth = chance.max(1).mean()
    assert oracle.cross_validated(fooled, n).mean() < truth - 0.02
    assert oracle.naive(fooled, n).mean() > truth + 0.02


def test_categories_at_their_limits():
    fooled = np.array([[3, 3, 3], [4, 4, 4], [0, 4, 2], [1, 4, 2], [0, 0, 0], [5, 1, 1]])
    found = categories.categories(fooled, np.full_like(fooled, 5))
    assert found.all_above.tolist() == [False, True, False, False, False, False]  # 60% is not above 60%
    assert found.wide_range.tolist() == [False, False, True, False, False, True]  # 80 points are enough
    assert found.never_fooled.tolist() == [False, False, False, False, True, False]
    mixed = categories.categories(np.array([[0, 8], [1, 9]]), np.array([[3, 10], [10, 10]]))
    assert mixed.wide_range.tolist() == [True, True]


def test_categories_by_chance():
    found = categories.expected_shares(FIVE, 0.423)
    assert found["all_above"] == pytest.approx(0.0012, abs=0.00005)
    assert found["wide_range"] == pytest.approx(0.053, abs=0.0005)
    assert found["never_fooled"] == pytest.approx(0.0003, abs=0.00005)
    n = np.array([[5, 4, 3]])
    drawn = np.random.default_rng(2).binomial(n, 0.5, (40_000, 3))
    seen = categories.categories(drawn, np.broadcast_to(n, drawn.shape))
    for name, share in categories.expected_shares(n, 0.5).items():
        assert share == pytest.approx(getattr(seen, name).mean(), abs=0.006)


# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): his example A (two observers, binary) and
# example C (four observers, missing values); 0 is missing in C.
EXAMPLE_A = ["0100000010", "1110010000"]
EXAMPLE_C = ["123321412000", "123322412503", "033323422510", "123324412510"]


@pytest.mark.parametrize(("rows", "values", "alpha"), [(EXAMPLE_A, "01", 0.095), (EXAMPLE_C, "12345", 0.743)])
def test_alpha_of_the_published_examples(rows, values, alpha):
    counts = np.array([[column.count(value) for value in values] for column in map("".join, zip(*rows, strict=True))])
    assert agreement.krippendorff_alpha(counts) == pytest.approx(alpha, abs=0.0005)
    found = agreement.bootstrap_alpha(counts, np.random.default_rng(0), 500)
    assert found.low < alpha < found.high


def test_alpha_without_disagreement_or_without_values():
    assert agreement.krippendorff_alpha(np.array([[5, 0], [0, 5]])) == 1
    assert np.isnan(agreement.krippendorff_alpha(np.array([[5, 0], [5, 0]])))
    assert np.isnan(agreement.bootstrap_alpha(np.array([[1, 0]]), np.random.default_rng(0), 10).low)


def test_differences():
    rng = np.random.default_rng(3)
    base = rng.random(300)
    same = differences.paired(base, base, seed=0, replicates=300)
    assert (same.mean, same.p_value) == (0, 1)
    up = differences.paired(base + 0.1 + rng.normal(0, 0.2, 300), base, seed=0, replicates=2000)
    assert up.mean == pytest.approx(0.1, abs=0.04)
    assert up.p_value < 0.001
    assert up.estimate.low > 0
    # Five images, all in one direction: 2 of 32 sign patterns are as far out.
    few = differences.paired(np.array([0.2, 0.4, 0.2, 0.6, 0.8]), np.zeros(5), seed=0, replicates=100)
    assert few.p_value == 2 / 32


def test_sign_flips_keep_their_level():
    rng = np.random.default_rng(4)
    found = [differences.sign_flip_p(rng.normal(size=40), rng, 200) for _ in range(300)]
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.05)
