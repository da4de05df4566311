"""Measures the validation images while a network trains: some of them at evaluations, and all of them at the end.

Evaluations have to be quick, and comparable with each other. So they all measure the same images, which a hash of the
keys chooses. Runs, machines and numbers of shards choose alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from coltran.records import partition
from coltran.training import inputs
from coltran.training.evaluation import bits_of_examples
from coltran.training.mesh import Placement

EMA, RAW = "validation", "validation_raw"  # how the log names the moving average and the raw weights
_ALL = "_all"
IMAGES = "validation_images"  # in a checkpoint's description: on how many images its bits were measured
Means = dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Mean bits of several sets of weights, {name of the weights: {metric: bits}}.

    Attributes:
      subset: over the images of every evaluation.
      everything: over all images; the same as `subset` if that holds all of them, and None if not measured.
    """

    subset: dict[str, Means]
    everything: dict[str, Means] | None


class Validation:
    """A validation folder, and which of its images every evaluation measures.

    Attributes:
      examples: the folder.
      chosen: the images of every evaluation, int64 [images].
    """

    def __init__(
        self, examples: inputs.Examples, count: int, evaluator: Callable, batch_size: int, placement: Placement
    ):
        """Chooses `count` images, or all of them if `count` is 0. `evaluator` is what `make_evaluator` returned."""
        self.examples, self.chosen = examples, choose(examples, count)
        self._evaluator, self._batch_size, self._placement = evaluator, batch_size, placement

    @property
    def is_whole(self) -> bool:
        """Tells whether every evaluation measures all images."""
        return len(self.chosen) == len(self.examples)

    def describe(self) -> str:
        """Says in a line how many images are measured, and when."""
        if self.is_whole:
            return f"validation: {len(self.examples):,} images"
        return (
            f"validation: {len(self.chosen):,} of {len(self.examples):,} images, chosen by a hash of their keys; "
            "all of them at the end (--evaluate_images)"
        )

    def measure(self, weights: Mapping[str, Mapping[str, Any]], *, everything: bool = False) -> Measured:
        """Measures the mean bits of some weights, {name: parameters}. All processes must call this together.

        With `everything`, it measures all images once, and takes the subset's bits from them.
        """
        whole = everything or self.is_whole
        bits = bits_of_examples(
            self._evaluator,
            weights,
            self.examples,
            self._batch_size,
            self._placement,
            None if whole else self.chosen,
        )
        every = _means(bits)
        if self.is_whole:
            return Measured(subset=every, everything=every)
        if not everything:
            return Measured(subset=every, everything=None)
        part = {name: {metric: row[self.chosen] for metric, row in found.items()} for name, found in bits.items()}
        return Measured(subset=_means(part), everything=every)

    def scalars(self, measured: Measured) -> dict[str, float]:
        """Names what was measured for the log, with the number of images."""
        found = _named(measured.subset, "") | {f"{EMA}/images": len(self.chosen)}
        if measured.everything is not None and not self.is_whole:
            found |= _named(measured.everything, _ALL) | {f"{EMA}{_ALL}/images": len(self.examples)}
        return found

    def is_comparable(self, training: Mapping[str, Any]) -> bool:
        """Tells whether a checkpoint's bits are of the same images, by the `training` part of its description.

        Versions that did not write the number measured all images.
        """
        return training.get(IMAGES, len(self.examples)) == len(self.chosen)


def choose(examples: inputs.Examples, count: int) -> np.ndarray:
    """Chooses `count` examples by a hash of their keys, in the order of hashes.

    Args:
      examples: the folder.
      count: how many; 0 for all.

    Returns:
      int64 [examples]. If it is all of them, they are in the order of the folder, and no key is read.
    """
    if not 0 < count < len(examples):
        return np.arange(len(examples))
    names = examples.names()
    # Each crop of an image has a hash of its own, and the order of files decides on nothing.
    ranks = [(partition.rank(crop, key), key, crop) for key, crop in names]
    return np.array(sorted(range(len(ranks)), key=ranks.__getitem__)[:count], np.int64)


def _means(bits: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Means]:
    return {name: {metric: float(row.mean()) for metric, row in found.items()} for name, found in bits.items()}


def _named(means: Mapping[str, Means], suffix: str) -> dict[str, float]:
    return {f"{name}{suffix}/{metric}": bits for name, found in means.items() for metric, bits in found.items()}
