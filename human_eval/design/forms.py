"""Plans which rater sees which pairs, with blocks, Latin squares, practice, catch trials and orders.

All of these are pure functions of a seed.

The paper's study (section 5.5) has 500 images with 3 samples each, and 5 raters. Raters see the truth and a recolored
image one after the other and answer "which one has fake colors?".

The images are cut into blocks. With V variants (the samples of all models) a block has V forms. Form f shows variant
(i + f) mod V of the block's i-th image. So the forms together show every pair exactly once, no form shows an image
twice, and the variants are balanced within a form. As many raters do each form as each pair needs ratings.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from human_eval.folder.forms import CATCH, PRACTICE, TEST, WRONG_COLORS, Form, Trial, Variant

_LONGEST_RUN = 4  # At most this many trials in a row have the truth at the same place.
_SHUFFLES = 200
_Key = TypeVar("_Key")
Shown = tuple[str, str, Variant]  # It holds the kind, the key of the image, and the colorization.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """The images for each purpose in the order of use. No image has two purposes.

    Attributes:
      test: all images that are rated.
      catch: at least `catch_count(block)` images for each block.
      practice: (key, variant) of the practice at the beginning of every form.
    """

    test: Sequence[str]
    catch: Sequence[str]
    practice: Sequence[tuple[str, Variant]]


def catch_count(tests: int, share: float) -> int:
    """Returns how many catch trials a form has: a rounded share of its tests, but at least 1 unless the share is 0."""
    return max(1, round(tests * share)) if share else 0


def blocks(keys: Sequence[_Key], block: int) -> list[Sequence[_Key]]:
    """Cuts the keys into blocks of at most `block`, with sizes as equal as possible."""
    count = -(-len(keys) // block)
    edges = [len(keys) * number // count for number in range(count + 1)]
    return [keys[start:end] for start, end in itertools.pairwise(edges)]


def plan(
    pool: Pool, variants: Sequence[Variant], *, block: int, catch: float, raters: int, seed: int | Sequence[int]
) -> list[Form]:
    """Plans the forms of a study.

    Args:
      pool: the images, each with every variant.
      variants: colorizations to compare.
      block: maximum number of images per form.
      catch: catch trials as a share of a form's test trials.
      raters: number of ratings of each pair.
      seed: seed of trial numbers and orders. Trial numbers are public, so somebody who guesses the whole seed would
        know the orders. A study therefore adds its secret.

    Returns:
      Forms numbered from 0. Each pair of an image and a variant is in exactly one of them. Truths come first in half of
      each variant's pairs, give or take one pair.
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
    """Makes one form. Its practice comes first in an order of its own, and then everything that is rated.

    Args:
      form, raters: number of the form, and of its raters.
      practice, rated: what the practice trials and the other trials show.
      numbers: fresh trial numbers.
      order: the order, which remembers the balance of earlier forms.
    """
    trials = [
        Trial(id=next(numbers), kind=kind, model=variant.model, key=key, sample=variant.sample, truth_first=truth_first)
        for part in (practice, rated)
        for (kind, key, variant), truth_first in order.arrange(part)
    ]
    return Form(number=form, raters=raters, trials=tuple(trials))


def truth_ahead(planned: Iterable[Form]) -> collections.Counter[tuple[str, str, int]]:
    """Counts by kind, model and sample how many more ratings have the truth first than second.

    Every second sitting of a form is flipped, so an odd number of sittings leaves one in the listed order.
    """
    ahead: collections.Counter[tuple[str, str, int]] = collections.Counter()
    for form in planned:
        for trial in form.trials:
            ahead[trial.kind, trial.model, trial.sample] += form.raters % 2 * (1 if trial.truth_first else -1)
    return ahead


class Order:
    """Orders trials, and the images within pairs. The orders are balanced for each kind and variant over all forms."""

    def __init__(self, rng: np.random.Generator, ahead: Mapping[tuple[str, str, int], int] | None = None) -> None:
        """Starts from a balance.

        Args:
          rng: source of the orders.
          ahead: for each kind, model and sample, how many more earlier pairs had the truth first than second.
        """
        self._rng = rng
        self._ahead = collections.Counter(ahead or {})

    def arrange(self, pairs: Sequence[Shown]) -> list[tuple[Shown, bool]]:
        """Returns the pairs in the order of showing. Each says whether the truth comes first."""
        groups: dict[tuple[str, str, int], list[Shown]] = collections.defaultdict(list)
        for place in self._rng.permutation(len(pairs)).tolist():
            kind, _, variant = pairs[place]
            groups[kind, variant.model, variant.sample].append(pairs[place])
        ordered: list[tuple[Shown, bool]] = []
        for group, members in sorted(groups.items()):
            for pair in members:
                # The side that is behind comes first, and a draw decides a tie. So no group is off by more than one.
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
