"""Keeps the statistics of each tenth of each set on disk. The job writes them, and the scoring reads them."""

from __future__ import annotations

import collections

import numpy as np

from coltran import storage
from coltran.errors import UserError
from eval.distances.array_file import load_arrays, save_arrays
from eval.distances.statistics import Statistics
from eval.features.inception_graph import FEATURE_DIMS
from eval.images.sets import ImageSet


def _group_path(folder: str, identity: str, group: int) -> str:
    return storage.join(folder, f"{identity}-{group}.npz")


def write_group(folder: str, identity: str, group: int, statistics: Statistics) -> None:
    """Writes the statistics of a tenth of a set: its features if they were kept, else count, mean and scatter."""
    if statistics.features is not None:
        # A Beam engine delivers in any order. With this fixed order, a rerun sums up to the same bits.
        arrays = {"features": statistics.features[np.lexsort(statistics.features[:, :8].T)]}
    else:
        arrays = {"count": np.array(statistics.count, np.int64), "mean": statistics.mean, "scatter": statistics.scatter}
    save_arrays(_group_path(folder, identity, group), **arrays)


def read_groups(folder: str, images_set: ImageSet) -> list[Statistics]:
    """Reads the statistics of a set's tenths. Empty tenths are left out.

    Raises:
      UserError: Beam's engine lost or doubled images.
    """
    sizes = collections.Counter(images_set.groups.values())
    groups = []
    for group, size in sorted(sizes.items()):
        path = _group_path(folder, images_set.identity, group)
        statistics = _read_group(path) if storage.exists(path) else Statistics.empty(FEATURE_DIMS)
        if statistics.count != size:
            raise UserError(
                f"{statistics.count} features of {size} images of {' '.join(images_set.paths)} arrived: the folder "
                "changed, or the engine loses data; run again with --runner=FnApiRunner"
            )
        groups.append(statistics)
    return groups


def _read_group(path: str) -> Statistics:
    arrays = load_arrays(path)
    if "features" in arrays:
        return Statistics.from_features(arrays["features"])
    return Statistics(count=int(arrays["count"]), mean=arrays["mean"], scatter=arrays["scatter"])
