"""Which rater sees which pairs: blocks, Latin squares, practice, catch trials, orders. Pure functions of a seed.

The paper's study (section 5.5): 500 images, 3 samples each, 5 raters; the truth and a recolored image one after the
other; "which one has fake colors?".

The images are cut into blocks. With V variants (the samples of all models) a block has V forms; form f shows variant
(i + f) mod V of the block's i-th image, so that over the forms every pair is shown exactly once, no form shows an image
twice, and the variants are balanced within a form. Each form is done by as many raters as each pair needs ratings.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from human_eval.folder.forms import CATCH, PRACTICE, TEST, WRONG_COLORS, Form, Trial, Variant

_LONGEST_RUN = 4  # of trials in a row with the truth at the same place
_SHUFFLES = 200
Shown = tuple[str, str, Variant]  # kind, key of the image, colorization


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """Images for each purpose, disjoint, in the order of use.

    Attributes:
      test: all images that are rated.
      catch: at least `catch_count(block)` for each block.
      practice: (key, variant) of what every form begins with.
    """

    test: Sequence[str]
    catch: Sequence[str]
    practice: Sequence[tuple[str, Variant]]


def catch_count(tests: int, share: float) -> int:
    """Returns how many catch trials a form has: a rounded share of its tests, at least 1 unless the share is 0."""
    return max(1, round(tests * share)) if share else 0


def blocks(keys: Sequence[str], block: int) -> list[Sequence[str]]:
    """Cuts the keys into blocks of at most `block`, with sizes as equal as possible."""
    count = -(-len(keys) // block)
    edges = [len(keys) * number // count for number in range(count + 1)]
    return [keys[start:end] for start, end in itertools.pairwise(edges)]


def plan(
    pool: Pool, variants: Sequence[Variant], *, block: int, catch: float, raters: int, seed: int | Sequence[int]
) -> list[Form]:
    """Plans the forms of a study.

    Args:
      pool: images, all with every variant.
      variants: colorizations to compare.
      block: most images a form.
      catch: catch trials as a share of a form's test trials.
      raters: ratings of each pair.
      seed: of trial numbers and orders. Trial numbers are public, so whoever could guess all of it would know the
        orders: a study adds its secret.
    Returns:
      Forms numbered from 0; each pair of an image and a variant stands in exactly one of them, and truths come first in
      half of each variant's pairs, to one pair.
    """
    seeds = [seed] if isinstance(seed, int) else seed
    rng = np.random.default_rng([*seeds, len(pool.test), len(variants), block])
    cut = blocks(pool.test, block)
    per_form = [catch_count(len(members), catch) for members in cut]
    total = sum(len(variants) * (len(m) + c + len(pool.practice)) for m, c in zip(cut, per_form, strict=True))
    numbers = iter(rng.permutation(total).tolist())
    order = Order(rng)
    catch_images = iter(pool.catch)
    forms: list[Form] = []
    for members, count in zip(cut, per_form, strict=True):
        obvious = [next(catch_images) for _ in range(count)]
        for rotation in range(len(variants)):
            shown = [(key, variants[(place + rotation) % len(variants)]) for place, key in enumerate(members)]
            pairs = [(TEST, *pair) for pair in shown] + [
                (CATCH, key, Variant(model=WRONG_COLORS, sample=0)) for key in obvious
            ]
            practice = [(PRACTICE, *pair) for pair in pool.practice]
            forms.append(make_form(len(forms), raters, practice, pairs, numbers, order))
    return forms


def make_form(
    form: int, raters: int, practice: Sequence[Shown], rated: Sequence[Shown], numbers: Iterator[int], order: Order
) -> Form:
    """Makes one form: its practice in an order of its own, then all that is rated.

    Args:
      form, raters: of the form.
      practice, rated: what they show.
      numbers: fresh trial numbers.
      order: remembers the balance of the forms before.
    """
    trials = [
        Trial(id=next(numbers), kind=kind, model=variant.model, key=key, sample=variant.sample, truth_first=truth_first)
        for part in (practice, rated)
        for (kind, key, variant), truth_first in order.arrange(part)
    ]
    return Form(number=form, raters=raters, trials=tuple(trials))


def truth_ahead(planned: Iterable[Form]) -> collections.Counter[tuple[str, str, int]]:
    """Counts by kind, model and sample how many more ratings have the truth first than second.

    Every second sitting of a form is flipped, so an odd number of them leaves one that is as listed.
    """
    ahead: collections.Counter[tuple[str, str, int]] = collections.Counter()
    for form in planned:
        for trial in form.trials:
            ahead[trial.kind, trial.model, trial.sample] += form.raters % 2 * (1 if trial.truth_first else -1)
    return ahead


class Order:
    """Orders of trials and within pairs, balanced for each kind and variant over all forms that it has arranged."""

    def __init__(self, rng: np.random.Generator, ahead: Mapping[tuple[str, str, int], int] | None = None) -> None:
        """Starts from a balance.

        Args:
          rng: source of the orders.
          ahead: by kind, model and sample, how many more earlier pairs had the truth first than second.
        """
        self._rng = rng
        self._ahead = collections.Counter(ahead or {})

    def arrange(self, pairs: Sequence[Shown]) -> list[tuple[Shown, bool]]:
        """Returns the pairs in the order of showing, each with whether the truth comes first."""
        groups: dict[tuple[str, str, int], list[Shown]] = collections.defaultdict(list)
        for place in self._rng.permutation(len(pairs)).tolist():
            kind, _, variant = pairs[place]
            groups[kind, variant.model, variant.sample].append(pairs[place])
        ordered: list[tuple[Shown, bool]] = []
        for group, members in sorted(groups.items()):
            for pair in members:
                # Whoever is behind comes first; a draw decides a tie. So each group is never off by more than one.
                ahead = self._ahead[group]
                truth_first = bool(self._rng.integers(2)) if ahead == 0 else ahead < 0
                self._ahead[group] += 1 if truth_first else -1
                ordered.append((pair, truth_first))
        for _ in range(_SHUFFLES):
            shuffled = [ordered[place] for place in self._rng.permutation(len(ordered)).tolist()]
            if _longest_run([truth_first for _, truth_first in shuffled]) <= _LONGEST_RUN:
                break
        return shuffled if ordered else []


def _longest_run(flags: Sequence[bool]) -> int:
    longest = run = 0
    for place, flag in enumerate(flags):
        run = run + 1 if place and flag == flags[place - 1] else 1
        longest = max(longest, run)
    return longest
