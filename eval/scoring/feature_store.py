"""Keeps the features of each image in .npz files.

A run that was killed, or a run with more rows, then computes only the missing features.

    features/<id>/00003.npz    keys, features, colorfulness, diversity of some images of chunk 3 of a folder

<id> is a hash of all that affects a feature: the folder's fingerprint, which of its pixels, and the extractor.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence

import numpy as np

from coltran import storage
from coltran.errors import UserError
from eval.distances.array_file import load_arrays, save_arrays
from eval.features.extractors import Extractor
from eval.features.inception_graph import FEATURE_DIMS
from eval.images.sources import Source


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The features of some images, row by row.

    Attributes:
      names: record keys or names of files.
      features: float32 [count, 2048].
      colorfulness: float32 [count]; see `color_figures`.
      diversity: float32 [count]; NaN for images with one sample.
    """

    names: tuple[str, ...]
    features: np.ndarray
    colorfulness: np.ndarray
    diversity: np.ndarray

    @classmethod
    def empty(cls) -> Features:
        """Returns the features of no images."""
        none = np.zeros(0, np.float32)
        return cls(names=(), features=np.zeros((0, FEATURE_DIMS), np.float32), colorfulness=none, diversity=none)

    def select(self, names: Iterable[str]) -> Features:
        """Returns the rows with these names, in the order of the names. It raises a KeyError for an unknown name."""
        rows = {name: row for row, name in enumerate(self.names)}
        names = tuple(names)
        order = np.array([rows[name] for name in names], np.int64)
        return Features(
            names=names,
            features=self.features[order],
            colorfulness=self.colorfulness[order],
            diversity=self.diversity[order],
        )


def joined(several: Sequence[Features]) -> Features:
    """Joins the rows of several `Features` in their order."""
    if not several:
        return Features.empty()
    return Features(
        names=tuple(name for one in several for name in one.names),
        features=np.concatenate([one.features for one in several]),
        colorfulness=np.concatenate([one.colorfulness for one in several]),
        diversity=np.concatenate([one.diversity for one in several]),
    )


def chunk_path(folder: str, source: Source, extractor: Extractor, index: int) -> str:
    """Returns the path of the file that keeps the features of one chunk of a source."""
    decisive: list[object] = [source.fingerprint, source.feature, source.index]
    decisive += [extractor.name, extractor.weights_sha256, extractor.resize]
    digest = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]
    return storage.join(folder, digest, f"{index:05d}.npz")


def load(path: str) -> Features:
    """Reads the features in the file `path`. A missing or damaged file has no features."""
    if not storage.exists(path):
        return Features.empty()
    try:
        arrays = load_arrays(path)
        return Features(names=tuple(arrays["keys"].tolist()), **{name: arrays[name] for name in _ARRAYS})
    except (UserError, KeyError):
        return Features.empty()


_ARRAYS = ("features", "colorfulness", "diversity")


def save(path: str, features: Features) -> None:
    """Writes the features of a chunk. The file gets its name only when it is complete."""
    save_arrays(path, keys=np.array(features.names), **{name: getattr(features, name) for name in _ARRAYS})
