"""Attacks a study with everything but the pixels: can anything tell which file of a pair is the photo?

A rater, or somebody with the public files, sees more than photos: lengths of files and of their parts, lengths after a
web server's compression, names, orders, inodes, times and HTTP headers. The attacker measures all of these, learns on
half of the pairs which way they point, and guesses the other half. Then it tries each fact alone on all pairs. What it
reaches must be what a coin reaches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

_ALPHA = 1e-4  # A study without leaks is refused this often by mistake.
_RIDGE = 1.0
_STEPS = 25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attack:
    """What the attacker reached.

    Attributes:
      pairs: number of pairs.
      facts: number of facts that differ within any pair.
      auc: area under the curve of the guesses for the half that was not learned from. 0.5 is chance.
      auc_bound: how far from 0.5 chance may bring it, by the binomial distribution.
      strongest: the fact that alone points best, or an empty text.
      strongest_auc: its area under the curve over all pairs in which it differs.
      strongest_bound: how far from 0.5 chance may bring one of this many facts.
    """

    pairs: int
    facts: int
    auc: float = 0.5
    auc_bound: float = 0.5
    strongest: str = ""
    strongest_auc: float = 0.5
    strongest_bound: float = 0.5

    @property
    def found(self) -> bool:
        """Whether something tells which file is the photo."""
        together = abs(self.auc - 0.5) > self.auc_bound
        return together or abs(self.strongest_auc - 0.5) > self.strongest_bound


def attack(facts: Mapping[str, Mapping[str, float]], pairs: Sequence[tuple[str, str]]) -> Attack:
    """Attacks pairs of files.

    Args:
      facts: for each file, numbers by the name of the fact. A missing number counts as 0.
      pairs: (truth, colorization) file names.
    """
    names = sorted({name for values in facts.values() for name in values})
    table = {file: np.array([values.get(name, 0.0) for name in names]) for file, values in facts.items()}
    differences = np.array([table[truth] - table[fake] for truth, fake in pairs]).reshape(len(pairs), len(names))
    kept = np.flatnonzero((differences != 0).any(axis=0))
    differences, names = differences[:, kept], [names[place] for place in kept]
    if not names:
        return Attack(pairs=len(pairs), facts=0)
    # Size and direction of each difference; a fact's scale does not matter then.
    scaled = differences / np.abs(differences).max(axis=0)
    inputs = np.concatenate([scaled, np.sign(differences)], axis=1)
    learn, guess = inputs[0::2], inputs[1::2]
    auc, bound = _share_and_bound(guess @ _learned(learn), _ALPHA / 2)
    singles = [_share_and_bound(column, _ALPHA / 2 / len(names)) for column in differences.T]
    best = max(range(len(names)), key=lambda place: abs(singles[place][0] - 0.5) - singles[place][1])
    return Attack(
        pairs=len(pairs),
        facts=len(names),
        auc=auc,
        auc_bound=bound,
        strongest=names[best],
        strongest_auc=singles[best][0],
        strongest_bound=singles[best][1],
    )


def _learned(differences: np.ndarray) -> np.ndarray:
    """Returns the weights of a logistic regression (with a ridge) that gives the truth's side of a pair a high score.

    Args:
      differences: float [pairs, inputs], truth minus colorization.
    """
    weights = np.zeros(differences.shape[1])
    for _ in range(_STEPS):  # These are Newton's steps.
        wrong = 1 / (1 + np.exp(np.clip(differences @ weights, -30, 30)))
        gradient = differences.T @ wrong - _RIDGE * weights
        curvature = (differences.T * (wrong * (1 - wrong))) @ differences + _RIDGE * np.eye(len(weights))
        weights = weights + np.linalg.solve(curvature, gradient)
    return weights


def _share_and_bound(scores: np.ndarray, alpha: float) -> tuple[float, float]:
    """Returns the share of pairs with a positive score, and how far from 1/2 chance may bring it (two-sided).

    Among pairs this share is the area under the curve. Scores of 0 say nothing and are left out.
    """
    from scipy import stats

    telling = int((scores != 0).sum())
    if not telling:
        return 0.5, 0.5
    bound = float(stats.binom.isf(alpha / 2, telling, 0.5)) / telling - 0.5
    return float((scores > 0).sum()) / telling, bound
