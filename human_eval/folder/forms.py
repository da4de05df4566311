"""Defines a form, which holds the pairs that one rater sees in one sitting."""

from __future__ import annotations

import dataclasses

TEST, CATCH, PRACTICE = "test", "catch", "practice"
WRONG_COLORS = "wrong_colors"  # This is the "model" of fakes that nobody should miss (see wrong_colors.py).


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One colorization of every image. It names a model and one of its samples."""

    model: str
    sample: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One pair of images.

    Attributes:
      id: opaque number within the study. It tells nothing about the image.
      kind: test, catch or practice.
      model, sample: which colorization. The model `wrong_colors` is an obvious fake made from the truth.
      key: record key of the image.
      truth_first: whether the truth is listed first. A page or server may flip the pair, and logs what it showed.
    """

    id: int
    kind: str
    model: str
    key: str
    sample: int
    truth_first: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """What one rater does in one sitting. Practice comes first, then tests with catch trials among them.

    Attributes:
      number: number of the form, from 0.
      raters: how many sittings the form needs.
      trials: the trials in the order of showing.
    """

    number: int
    raters: int
    trials: tuple[Trial, ...]

    @property
    def keys(self) -> frozenset[str]:
        """The images that a rater must not see again in another form. Practice images may come back."""
        return frozenset(trial.key for trial in self.trials if trial.kind != PRACTICE)
