"""Writes the statistics of a set of images as an .npz file, which later runs can read as `--real FILE.npz`.

pytorch-fid and clean-fid can read these files too, because they only look for `mu` and `sigma`:

    mu         float64 [2048], mean
    sigma      float64 [2048, 2048], covariance, divided by count - 1
    count      how many images
    features   float32 [count, 2048], in the order of `keys` (left out above `MAX_FEATURES` images)
    keys       record keys, if the images have keys; else
    names      names of the files within their folders, by which the images are dealt into the same groups again
    about      JSON: extractor, sha256 of its weights, resize, image (hi, lo or coarse), image size

Files of those tools only have `mu` and `sigma`. You can use such a file, and the result then says what nobody could
check: the number of images, the extractor, and overlap.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from coltran.errors import UserError
from eval.distances import array_checks, array_file
from eval.distances.array_file import load_arrays, save_arrays
from eval.distances.statistics import Statistics
from eval.features.inception_graph import FEATURE_DIMS

MAX_FEATURES = 50_000  # 410 MB


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SavedStatistics:
    """The content of a statistics file.

    Attributes:
      path: path of the file.
      mean, covariance: float64 [2048] and [2048, 2048].
      count: number of images; None if the file does not tell it.
      features: float32 [count, 2048], or None.
      keys: one key per image in the order of `features`, or None.
      names: the same for images without keys: one name of a file per image, or None.
      about: what made the statistics; None if the file does not tell it.
    """

    path: str
    mean: np.ndarray
    covariance: np.ndarray
    count: int | None = None
    features: np.ndarray | None = None
    keys: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    about: Mapping[str, Any] | None = None

    def statistics(self) -> Statistics:
        """Returns the statistics that a distance is computed from.

        If the file does not tell the count, we set it to one more than the dims. Here it only scales the scatter.
        """
        if self.features is not None:
            return Statistics.from_features(self.features)
        count = self.count or FEATURE_DIMS + 1
        return Statistics(count=count, mean=self.mean, scatter=self.covariance * (count - 1))


def write(
    path: str,
    statistics: Statistics,
    *,
    about: Mapping[str, object],
    features: np.ndarray | None = None,
    keys: tuple[str, ...] | None = None,
    names: tuple[str, ...] | None = None,
) -> None:
    """Writes a statistics file that other tools can read too.

    Args:
      path: local or gs://.
      statistics: statistics of at least 2 images.
      about: what made them, in values that JSON knows.
      features: float32 [count, 2048].
      keys, names: one key, or for images without keys one name, per row of `features`.
    """
    arrays: dict[str, np.ndarray] = {
        "mu": statistics.mean,
        "sigma": statistics.covariance,
        "count": np.array(statistics.count, np.int64),
        "about": np.array(json.dumps(about)),
    }
    if features is not None:
        arrays["features"] = features
        for name, texts in (("keys", keys), ("names", names)):
            if texts is not None:
                arrays[name] = np.array(texts)
    save_arrays(path, **arrays)


def read(path: str) -> SavedStatistics:
    """Reads a file of this project, of pytorch-fid or of clean-fid. A file with only `feats` or `features` is enough.

    Raises:
      UserError: the file is missing or damaged, or an array is not as `array_checks` expects it.
    """
    arrays = load_arrays(path, array_checks.wanted(path, array_file.headers(path)))
    count = array_checks.count_of(path, arrays["count"]) if "count" in arrays else None
    name = next((name for name in array_checks.FEATURES if name in arrays), None)
    features = None if name is None else arrays[name]
    moments: dict[str, np.ndarray] = {
        moment: np.asarray(arrays[moment], np.float64) for moment in ("mu", "sigma") if moment in arrays
    }
    if name is not None and features is not None:
        array_checks.check_features(path, name, features)
        if count not in (None, len(features)):
            raise UserError(f"{path}: array 'count': is {count}, and '{name}' has {len(features)} rows")
        count = len(features)
        moments = _checked_with_features(path, moments, features)
    else:
        array_checks.check_moments(path, moments["mu"], moments["sigma"])
    return SavedStatistics(
        path=path,
        mean=moments["mu"],
        covariance=moments["sigma"],
        count=count,
        features=features,
        keys=array_checks.texts_of(path, "keys", arrays["keys"], count) if "keys" in arrays else None,
        names=array_checks.texts_of(path, "names", arrays["names"], count) if "names" in arrays else None,
        about=array_checks.about_of(path, arrays["about"]) if "about" in arrays else None,
    )


def _checked_with_features(path: str, moments: Mapping[str, np.ndarray], features: np.ndarray) -> dict[str, np.ndarray]:
    """Returns `mu` and `sigma` of the file, which must be those of its features, or else those of its features."""
    summed = Statistics.from_features(features)
    own = {"mu": summed.mean, "sigma": summed.covariance}
    for moment, given in moments.items():
        array_checks.check_same_moments(path, moment, given, own[moment])
    return {**own, **moments}
