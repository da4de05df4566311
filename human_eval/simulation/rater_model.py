"""Models raters on the logit scale, with effects of image, sample and rater, a bias to one side, and lapses.

It answers questions that real raters cannot: whether standard errors and intervals are right, and how many raters a
study needs.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from coltran.errors import UserError
from human_eval.simulation.effects import Effects

_NODES = 48  # Gauss-Hermite quadrature uses these nodes. Its error is far below what 10,000 ratings could show.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variances:
    """The parts of the variance of one rating. They sum to rate (1 - rate).

    Attributes:
      image: variance of the mean over raters, from pair to pair (image and sample effects together).
      rater: variance of the mean over pairs, from rater to rater.
      rest: variance of a single rating around both.
    """

    image: float
    rater: float
    rest: float


def draw(
    effects: Effects,
    image: np.ndarray,
    pair: np.ndarray,
    rater: np.ndarray,
    truth_first: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draws for each rating whether it is fooled, as bool [n].

    Args:
      effects: known effects. Each image, pair and rater draws its own.
      image, pair, rater: int [n], numbers from 0 of the image, of the (image, sample) and of the rater.
      truth_first: bool [n], the order shown.
      rng: source of all draws.

    Raises:
      UserError: the lapses make the rate impossible.
    """
    sizes = (
        (image, effects.image_sd),
        (pair, effects.sample_sd),
        (rater, effects.rater_sd),
    )
    logits = np.full(len(image), intercept(effects))
    for numbers, deviation in sizes:
        logits += deviation * rng.standard_normal(int(numbers.max(initial=-1)) + 1)[numbers]
    chance = _chance(logits, np.where(truth_first, 1.0, -1.0), effects)
    return rng.random(len(image)) < chance


def intercept(effects: Effects) -> float:
    """Returns the logit at which all effects together give `effects.rate`. It raises a UserError if no logit does."""
    from scipy.optimize import brentq

    low, high = effects.lapse / 2, 1 - effects.lapse / 2
    if effects.rate in (low, high):
        return -np.inf if effects.rate == low else np.inf
    if not low < effects.rate < high:
        raise UserError(f"--rate {effects.rate}: with a share of {effects.lapse} lapses it lies from {low} to {high}")
    total = np.sqrt(effects.image_sd**2 + effects.sample_sd**2 + effects.rater_sd**2)
    points, weights = _normal_nodes(total)
    # Beyond this reach, even the most extreme rater is always right or always wrong, because expit(-750) is 0.
    reach = float(points.max()) + abs(effects.first_bias) + 750

    def excess(logit: float) -> float:
        return float(weights @ _mean_chance(logit + points, effects)) - effects.rate

    return float(brentq(excess, -reach, reach, xtol=1e-12, maxiter=10_000))


def variances(effects: Effects) -> Variances:
    """Returns the parts of a rating's variance for one sample of each image and balanced orders."""
    middle = intercept(effects)
    of_pair, pair_weights = _normal_nodes(np.hypot(effects.image_sd, effects.sample_sd))
    of_rater, rater_weights = _normal_nodes(effects.rater_sd)
    chance = _mean_chance(middle + of_pair[:, None] + of_rater, effects)
    image = _variance(chance @ rater_weights, pair_weights)
    rater = _variance(pair_weights @ chance, rater_weights)
    return Variances(image=image, rater=rater, rest=effects.rate * (1 - effects.rate) - image - rater)


def _chance(logits: np.ndarray, side: np.ndarray | float, effects: Effects) -> np.ndarray:
    """Returns P(fooled). `side` is 1 if the truth comes first, when calling the first image fake is wrong, else -1."""
    from scipy.special import expit

    return effects.lapse / 2 + (1 - effects.lapse) * expit(logits + side * effects.first_bias)


def _mean_chance(logits: np.ndarray, effects: Effects) -> np.ndarray:
    return (_chance(logits, 1.0, effects) + _chance(logits, -1.0, effects)) / 2


def _normal_nodes(deviation: float) -> tuple[np.ndarray, np.ndarray]:
    points, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return deviation * points, weights / weights.sum()


def _variance(values: np.ndarray, weights: np.ndarray) -> float:
    return float(weights @ values**2 - (weights @ values) ** 2)
