"""Which rater sees which images: blocks, Latin squares, and the order within a pair. Pure functions of a seed.

The paper's study (section 5.5): 500 images, 3 samples each, 5 raters; the truth and a recolored image one after the
other; "which one has fake colors?".

The images are cut into blocks; each block has one form per sample. Form f of a block shows sample (i + f) mod K of its
i-th image, so that over the forms every pair is shown exactly once, no form shows an image twice, and the samples
are balanced within a form.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from coltran import partition
from coltran.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One pair of images.

    Attributes:
      trial: opaque number within the study, which says nothing of the image.
      key: record key of the image.
      sample: which colorization of it.
      truth_first: True where the truth is listed first; the page may flip the pair, and says so in its results.
    """

    trial: int
    key: str
    sample: int
    truth_first: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """What one rater does in one sitting, in this order."""

    form: int
    trials: tuple[Trial, ...]


def design(keys: Sequence[str], *, images: int, samples: int, block: int, seed: int) -> list[Form]:
    """The forms of a study.

    Args:
      keys: of all images that have `samples` colorizations and a truth.
      images: how many of them to use, the first by hash of (seed, key).
      samples: colorizations per image, K.
      block: images a form; the last block may be smaller.
      seed: of the choice, the trial numbers and all orders.
    Returns:
      Forms numbered from 0; each of the images * samples pairs stands in exactly one of them.
    Raises:
      UserError: fewer images than asked.
    """
    if images > len(keys):
        raise UserError(
            f"--images {images}: only {len(keys)} images have a truth and all {samples} samples; ask for fewer, or "
            "sample more images"
        )
    chosen = partition.shuffled(keys, seed)[:images]
    rng = np.random.default_rng([seed, images, samples, block])
    numbers = iter(rng.permutation(images * samples).tolist())
    forms = []
    for start in range(0, images, block):
        members = chosen[start : start + block]
        for rotation in range(samples):
            pairs = [(key, (place + rotation) % samples) for place, key in enumerate(members)]
            forms.append(_form(len(forms), pairs, numbers, rng))
    return forms


def _form(form: int, pairs: Sequence[tuple[str, int]], numbers, rng: np.random.Generator) -> Form:
    # The truth comes first in half of the pairs; which half gets the odd one is drawn.
    first = np.arange(len(pairs)) < (len(pairs) + rng.integers(2)) // 2
    rng.shuffle(first)
    trials = [
        Trial(trial=next(numbers), key=key, sample=sample, truth_first=bool(truth_first))
        for (key, sample), truth_first in zip(pairs, first, strict=True)
    ]
    rng.shuffle(trials)
    return Form(form=form, trials=tuple(trials))
