"""Sums up batches of features into `Statistics` in Beam."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import apache_beam as beam
import numpy as np

from eval.distances.statistics import Statistics


@dataclass
class _Accumulator:
    """Holds the statistics of the folded batches, and the batches that still wait."""

    folded: Statistics | None = None
    waiting: list[np.ndarray] = field(default_factory=list)

    @property
    def waiting_count(self) -> int:
        return sum(len(batch) for batch in self.waiting)


class CombineStatistics(beam.CombineFn):
    """Sums up batches [batch, dims] of features into one `Statistics`, equal to `Statistics.from_features` of them all.

    Up to `dims` vectors wait before they are folded into a scatter matrix. This needs one large matrix product instead
    of many updates of a 2048 x 2048 matrix (33 MB). The runner moves smaller accumulators. Small sets keep their
    features, which give an exact distance.
    """

    def __init__(self, dims: int) -> None:
        """Sums up vectors of `dims` values."""
        self._dims = dims

    def create_accumulator(self) -> _Accumulator:
        return _Accumulator()

    def add_input(self, accumulator: _Accumulator, batch: np.ndarray) -> _Accumulator:
        """Adds a batch of features, float [batch, dims]."""
        accumulator.waiting.append(np.asarray(batch))
        return self._fold_if_full(accumulator)

    def merge_accumulators(self, accumulators: Iterable[_Accumulator]) -> _Accumulator:
        merged = _Accumulator()
        for accumulator in accumulators:
            merged.waiting.extend(accumulator.waiting)
            if accumulator.folded is not None:
                merged.folded = _merge(merged.folded, accumulator.folded)
            merged = self._fold_if_full(merged)
        return merged

    def extract_output(self, accumulator: _Accumulator) -> Statistics:
        statistics = self._fold(accumulator).folded
        return Statistics.empty(self._dims) if statistics is None else statistics

    def _fold_if_full(self, accumulator: _Accumulator) -> _Accumulator:
        return self._fold(accumulator) if accumulator.waiting_count > self._dims else accumulator

    def _fold(self, accumulator: _Accumulator) -> _Accumulator:
        if not accumulator.waiting:
            return accumulator
        new = Statistics.from_features(np.concatenate(accumulator.waiting))
        return _Accumulator(folded=_merge(accumulator.folded, new))


def _merge(first: Statistics | None, second: Statistics) -> Statistics:
    return second if first is None else first.merge(second)
