"""Writes the statistics of a set of images as an .npz file, which later runs can read as `--real FILE.npz`.

pytorch-fid and clean-fid can read these files too, because they only look for `mu` and `sigma`:

    mu         float64 [2048], mean
    sigma      float64 [2048, 2048], covariance, divided by count - 1
    count      how many images
    features   float32 [count, 2048], in the order of `keys` (left out above `MAX_FEATURES` images)
    keys       record keys, if the images have keys
    about      JSON: extractor, sha256 of its weights, resize, image (hi, lo or coarse), image size

Files of those tools only have `mu` and `sigma`. You can use such a file, and the result then says what nobody could
check: the number of images, the extractor, and overlap.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from coltran import storage
from coltran.errors import UserError
from eval.distances.statistics import Statistics
from eval.features.inception_graph import FEATURE_DIMS

SUFFIX = ".npz"
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
      about: what made the statistics; None if the file does not tell it.
    """

    path: str
    mean: np.ndarray
    covariance: np.ndarray
    count: int | None = None
    features: np.ndarray | None = None
    keys: tuple[str, ...] | None = None
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
) -> None:
    """Writes a statistics file that other tools can read too.

    Args:
      path: local or gs://.
      statistics: statistics of at least 2 images.
      about: what made them, in values that JSON knows.
      features: float32 [count, 2048].
      keys: one key per row of `features`.
    """
    arrays: dict[str, np.ndarray] = {
        "mu": statistics.mean,
        "sigma": statistics.covariance,
        "count": np.array(statistics.count, np.int64),
        "about": np.array(json.dumps(about)),
    }
    if features is not None:
        arrays["features"] = features
        if keys is not None:
            arrays["keys"] = np.array(keys)
    save_arrays(path, **arrays)


def read(path: str) -> SavedStatistics:
    """Reads a file of this project, of pytorch-fid or of clean-fid. A file with only `feats` or `features` is enough.

    Raises:
      UserError: the file is missing, is not an .npz, lacks `mu` and `sigma`, has other dimensions, or holds NaN.
    """
    arrays = load_arrays(path)
    features = arrays.get("features", arrays.get("feats"))
    if features is not None:
        if features.ndim != 2 or features.shape[1] != FEATURE_DIMS or len(features) < 2:
            raise UserError(f"{path}: expected features [count, {FEATURE_DIMS}], got {list(features.shape)}")
        summed = Statistics.from_features(features)
        arrays = {"mu": summed.mean, "sigma": summed.covariance, **arrays, "count": np.array(len(features), np.int64)}
    if not {"mu", "sigma"} <= set(arrays):
        raise UserError(
            f"{path}: expected arrays 'mu' and 'sigma' (as pytorch-fid and clean-fid write them) or 'features', "
            f"got {', '.join(sorted(arrays)) or 'none'}"
        )
    mean, covariance = (np.asarray(arrays[name], np.float64) for name in ("mu", "sigma"))
    if mean.shape != (FEATURE_DIMS,) or covariance.shape != (FEATURE_DIMS, FEATURE_DIMS):
        raise UserError(
            f"{path}: expected mu [{FEATURE_DIMS}] and sigma [{FEATURE_DIMS}, {FEATURE_DIMS}], "
            f"got {list(mean.shape)} and {list(covariance.shape)}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise UserError(f"{path}: holds NaN or infinity; the features that it comes from were damaged")
    keys = arrays.get("keys")
    return SavedStatistics(
        path=path,
        mean=mean,
        covariance=covariance,
        count=int(arrays["count"]) if "count" in arrays else None,
        features=features,
        keys=None if keys is None else tuple(keys.tolist()),
        about=json.loads(str(arrays["about"])) if "about" in arrays else None,
    )


def save_arrays(path: str, **arrays: np.ndarray) -> None:
    """Writes an .npz file, local or gs://. The file gets its name only when it is complete."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    storage.write_bytes(path, buffer.getvalue())


def load_arrays(path: str) -> dict[str, np.ndarray]:
    """Reads an .npz file, local or gs://.

    Returns:
      {name: array}, each with the shape and dtype (float32, float64, int64, text) that was written.

    Raises:
      UserError: the file is missing or cut off, or it holds pickled objects.
    """
    data = storage.read_bytes(path)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(f"{path}: not a readable .npz file of plain arrays ({error})") from error
