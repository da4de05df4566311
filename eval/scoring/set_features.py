"""Loads what the job wrote about a set: the statistics of its tenths, and its features if they are kept."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from eval.distances.saved_statistics import MAX_FEATURES, SavedStatistics
from eval.distances.statistics import Statistics
from eval.features.extractors import Extractor
from eval.images.sets import GROUPS, ImageSet, grouped
from eval.scoring import feature_store, group_statistics
from eval.scoring.feature_store import Features
from eval.scoring.layout import Layout

_KEPT_SETS = 3  # These are real, fake and floor of one pair. A set takes 370 MB with the covariances of ten groups.


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetFeatures:
    """The statistics and features of a set.

    Attributes:
      groups: the statistics of its tenths, or of the set as one group if it has no tenths.
      features: the features of its images; None if they are not kept.
    """

    groups: tuple[Statistics, ...]
    features: Features | None

    @property
    def merged(self) -> Statistics:
        """The statistics of the set."""
        return merge(self.groups)


Load = Callable[[ImageSet], SetFeatures]


def merge(groups: Sequence[Statistics]) -> Statistics:
    """Returns the statistics of all groups together."""
    merged = groups[0]
    for statistics in groups[1:]:
        merged = merged.merge(statistics)
    return merged


def loader(sets: Mapping[str, ImageSet], extractor: Extractor, layout: Layout) -> Load:
    """Returns a function that loads the statistics and features of a set. It keeps the last sets in memory.

    Args:
      sets: the sets by their identity.
      extractor: what made the features.
      layout: where the job wrote.
    """
    # Rows share sets but not the Python objects, so we tell sets apart by their identity.
    kept = functools.lru_cache(_KEPT_SETS)(lambda identity: load_set(sets[identity], extractor, layout))
    return lambda images_set: kept(images_set.identity)


def load_set(images_set: ImageSet, extractor: Extractor, layout: Layout) -> SetFeatures:
    """Reads what the job computed for a set, or what its statistics file holds.

    Raises:
      UserError: Beam's engine lost or doubled images.
    """
    if images_set.saved:
        return _from_file(images_set.saved)
    groups = tuple(group_statistics.read_groups(layout.work, images_set))
    if len(images_set.chosen) > MAX_FEATURES:
        return SetFeatures(groups=groups, features=None)
    found = []
    for source in images_set.sources:
        for index, names in enumerate(source.chunks):
            chosen = [name for name in names if name in images_set.chosen]
            if chosen:
                kept = feature_store.load(feature_store.chunk_path(layout.features, source, extractor, index))
                found.append(kept.select(chosen))
    return SetFeatures(groups=groups, features=feature_store.joined(found))


def _from_file(saved: SavedStatistics) -> SetFeatures:
    if saved.features is None:
        return SetFeatures(groups=(saved.statistics(),), features=None)
    names = saved.keys or saved.names or tuple(str(row) for row in range(len(saved.features)))
    unknown = np.full(len(names), np.nan, np.float32)
    features = Features(names=names, features=saved.features, colorfulness=unknown, diversity=unknown)
    return SetFeatures(groups=tuple(map(Statistics.from_features, blocks(features))), features=features)


def blocks(features: Features, largest: int | None = None) -> list[np.ndarray]:
    """Returns the features of each tenth, float32 [images, 2048], in the set's order.

    Args:
      features: features of the set.
      largest: maximum number of images of a tenth; None for all.
    """
    groups = grouped(features.names)
    member = np.array([groups[name] for name in features.names])
    found = [features.features[member == group][:largest] for group in range(GROUPS)]
    return [block for block in found if len(block)]
