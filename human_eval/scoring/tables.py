"""Computes all numbers of a study from the ratings that count. They depend only on the table and a seed."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from human_eval.answers.ratings import PLACES, Rating
from human_eval.scoring import agreement, categories, differences, oracle, standard_errors
from human_eval.scoring.arguments import ScoreFlags
from human_eval.scoring.binomial import wilson
from human_eval.scoring.standard_errors import Estimate

HEADLINE = "image_cluster"


def score(used: Sequence[Rating], options: ScoreFlags) -> dict[str, object]:
    """Computes the numbers of score.json.

    Args:
      used: ratings that count (`Rating.counts`), at least one.
      options: seed and limits.

    Returns:
      `models` by name, each with `samples`, `overall`, `oracle`, `categories` and `agreement`; also `differences` and
      `order_bias`. Rates and standard errors are shares, not percent.
    """
    by_model: dict[str, list[Rating]] = collections.defaultdict(list)
    for rating in used:
        by_model[rating.model].append(rating)
    models = {name: _model(by_model[name], options) for name in sorted(by_model)}
    return {
        "models": models,
        "differences": list(_differences(by_model, options)),
        "order_bias": order_bias(used),
    }


def rates(used: Sequence[Rating], options: ScoreFlags) -> dict[str, object]:
    """Computes the fooling rate of a set of ratings, with every standard error under its name."""
    arrays = standard_errors.Ratings(
        fooled=np.array([bool(rating.fooled) for rating in used]),
        image=_numbered([rating.key for rating in used]),
        rater=_numbered([rating.rater for rating in used]),
        assignment=_numbered([rating.assignment for rating in used]),
    )
    found = standard_errors.all_estimates(arrays, seed=options.seed, replicates=options.replicates)
    per_pair = collections.Counter((rating.key, rating.sample) for rating in used)
    return {
        "rate": arrays.rate,
        "ratings": len(used),
        "images": int(arrays.image.max()) + 1,
        "raters": int(arrays.rater.max()) + 1,
        "fewest_ratings_of_a_pair": min(per_pair.values()),
        "most_ratings_of_a_pair": max(per_pair.values()),
        "d_prime": _d_prime(1 - arrays.rate),
        "standard_errors": {name: estimate.standard_error for name, estimate in found.items()},
        "intervals": {name: [estimate.low, estimate.high] for name, estimate in found.items()},
    }


def order_bias(used: Sequence[Rating]) -> dict[str, object]:
    """Computes how often the first image was called fake (1/2 without a bias), and fooling rates by shown order."""
    first = sum(rating.chosen == PLACES[0] for rating in used)
    by_order = {True: [0, 0], False: [0, 0]}
    for rating in used:
        by_order[bool(rating.truth_first)][0] += bool(rating.fooled)
        by_order[bool(rating.truth_first)][1] += 1
    return {
        "chose_first": first / len(used),
        "interval": list(wilson(first, len(used))),
        "rate_truth_first": _share(*by_order[True]),
        "rate_fake_first": _share(*by_order[False]),
        "truth_first": by_order[True][1] / len(used),
    }


def pair_counts(used: Sequence[Rating]) -> dict[tuple[str, int], tuple[int, int]]:
    """Counts (fooled, ratings) by (key, sample) in the ratings of one model."""
    found: dict[tuple[str, int], list[int]] = collections.defaultdict(lambda: [0, 0])
    for rating in used:
        found[rating.key, rating.known_sample][0] += bool(rating.fooled)
        found[rating.key, rating.known_sample][1] += 1
    return {pair: (fooled, n) for pair, (fooled, n) in found.items()}


def _model(used: Sequence[Rating], options: ScoreFlags) -> dict[str, object]:
    samples = sorted({rating.known_sample for rating in used})
    keys, fooled_IK, n_IK = _complete(pair_counts(used), samples, options.min_ratings)
    by_pair = pair_counts(used).values()
    units = np.array([(fooled, n - fooled) for fooled, n in by_pair])
    overall = rates(used, options)
    alpha = agreement.bootstrap_alpha(units, _rng(options, 1), options.replicates)
    result = {
        "samples": {str(s): rates([r for r in used if r.sample == s], options) for s in samples},
        "overall": overall,
        "agreement": {"krippendorff_alpha": agreement.krippendorff_alpha(units), **_estimate(alpha)},
        "images_with_all_samples": len(keys),
        "oracle": None,
        "categories": None,
    }
    if len(keys) and len(samples) > 1:
        rate = float(fooled_IK.sum() / n_IK.sum())
        result["oracle"] = _oracle(fooled_IK, n_IK, rate, options)
        found = categories.categories(fooled_IK, n_IK)
        chance = categories.expected_shares(n_IK, rate)
        result["categories"] = {
            name: {"images": int(getattr(found, name).sum()), "share": float(getattr(found, name).mean())}
            | {"expected_by_chance": chance[name], "keys": [keys[i] for i in np.flatnonzero(getattr(found, name))]}
            for name in categories.NAMES
        }
    return result


def _oracle(fooled_IK: np.ndarray, n_IK: np.ndarray, rate: float, options: ScoreFlags) -> dict[str, object]:
    ways = {"naive": oracle.naive(fooled_IK, n_IK)}
    for hold_out, name in ((1, "leave_one_rater_out"), (2, "leave_two_raters_out")):
        # With many samples there are too many ways to hold out. Then only the naive oracle and its noise remain.
        if n_IK.min() > hold_out and (hold_out + 1) ** n_IK.shape[1] <= 100_000:
            ways[name] = oracle.cross_validated(fooled_IK, n_IK, hold_out=hold_out)
    result: dict[str, object] = {
        name: {"rate": float(by_image.mean()), **_estimate(_bootstrap(by_image, options))}
        for name, by_image in ways.items()
    }
    result["naive_expected_under_noise"] = oracle.expected_under_noise(n_IK, rate)
    return result


def _differences(by_model: Mapping[str, Sequence[Rating]], options: ScoreFlags) -> Iterator[dict[str, object]]:
    groups: dict[str, dict[str, float]] = {}
    families: list[list[str]] = [[]]
    for model, used in sorted(by_model.items()):
        counts = pair_counts(used)
        samples = sorted({sample for _, sample in counts})
        names = [f"{model}, sample {sample}" for sample in samples]
        for name, sample in zip(names, samples, strict=True):
            groups[name] = {key: fooled / n for (key, s), (fooled, n) in counts.items() if s == sample}
        keys, fooled_IK, n_IK = _complete(counts, samples, 1)
        groups[model] = dict(zip(keys, (fooled_IK / n_IK).mean(1).tolist(), strict=True)) if keys else {}
        families.append(names)
        families[0].append(model)
    for family in families:
        for first, second in itertools.combinations(family, 2):
            common = sorted(groups[first].keys() & groups[second].keys())
            if common:
                pair = (np.array([groups[name][key] for key in common]) for name in (first, second))
                found = differences.paired(*pair, seed=options.seed, replicates=options.replicates)
                yield {"first": first, "second": second, "images": found.images, "difference": found.mean} | {
                    **_estimate(found.estimate),
                    "p_value": found.p_value,
                }


def _complete(
    counts: Mapping[tuple[str, int], tuple[int, int]], samples: Sequence[int], least: int
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns (keys, fooled [I, K], ratings [I, K]) of the images with at least `least` ratings of each sample."""
    keys = sorted(
        key for key in {key for key, _ in counts} if all(counts.get((key, s), (0, 0))[1] >= least for s in samples)
    )
    table = np.array([[counts[key, s] for s in samples] for key in keys], np.int64).reshape(len(keys), len(samples), 2)
    return keys, table[..., 0], table[..., 1]


def _bootstrap(by_image: np.ndarray, options: ScoreFlags) -> Estimate:
    return standard_errors.bootstrap_mean(by_image, _rng(options, 2), options.replicates)


def _rng(options: ScoreFlags, purpose: int) -> np.random.Generator:
    return np.random.default_rng([options.seed, 100 + purpose])


def _estimate(estimate: Estimate) -> dict[str, object]:
    return {"standard_error": estimate.standard_error, "interval": [estimate.low, estimate.high]}


def _numbered(names: Sequence[str]) -> np.ndarray:
    return np.unique(names, return_inverse=True)[1]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _d_prime(correct: float) -> float | None:
    """Returns the sensitivity in two-alternative forced choice, sqrt(2) z(share correct), or None if not finite."""
    from scipy.special import ndtri

    found = math.sqrt(2) * float(ndtri(correct))
    return found if math.isfinite(found) else None
