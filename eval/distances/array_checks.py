"""Checks every array of a statistics file once, where the file comes in.

A covariance that is none gives a distance all the same, and even 0.0000. So a file is refused in one line that names
the file and the array, unless all of this holds:

    mu          real floats [2048], finite
    sigma       real floats [2048, 2048], finite, symmetric, and without negative eigenvalues, both within rounding
    features    (or feats) real floats [count, 2048], finite, at least 2 rows; mu and sigma are theirs
    count       one whole number, at least 2, and that of the features and keys
    keys, names text [count], each once
    about       one text: a JSON object

Other arrays of a file are not read.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from coltran.errors import UserError
from eval.distances.array_file import Header
from eval.features.inception_graph import FEATURE_DIMS

# Rounding of float32, with which many tools sum up, stays 100 times below both tolerances.
SYMMETRY_TOLERANCE = 1e-5  # times the largest value
EIGENVALUE_TOLERANCE = 1e-6  # times the trace: the lowest eigenvalue must be above minus this
FEATURES_TOLERANCE = 1e-3  # times the largest value: mu and sigma against those of the features
LARGEST_FEATURE = 1e9
LEAST_COUNT = 2
FEATURES = ("features", "feats")
TEXTS = ("keys", "names")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rule:
    what: str
    kinds: str  # of dtypes, as NumPy abbreviates them
    shape: Callable[[tuple[int, ...]], bool]


def _rules() -> dict[str, _Rule]:
    dims = FEATURE_DIMS
    features = _Rule(
        what=f"real floats [count, {dims}] of at least {LEAST_COUNT} images",
        kinds="f",
        shape=lambda shape: len(shape) == 2 and shape[0] >= LEAST_COUNT and shape[1] == dims,
    )
    return {
        "mu": _Rule(what=f"real floats [{dims}]", kinds="f", shape=lambda shape: shape == (dims,)),
        "sigma": _Rule(what=f"real floats [{dims}, {dims}]", kinds="f", shape=lambda shape: shape == (dims, dims)),
        **dict.fromkeys(FEATURES, features),
        "count": _Rule(what="one whole number", kinds="iuf", shape=lambda shape: math.prod(shape) == 1),
        **dict.fromkeys(TEXTS, _Rule(what="text [count]", kinds="U", shape=lambda shape: len(shape) == 1)),
        "about": _Rule(what="one text in JSON", kinds="U", shape=lambda shape: shape == ()),
    }


def wanted(path: str, found: Mapping[str, Header]) -> list[str]:
    """Returns the names of the arrays to read, after a look at the shape and dtype of each.

    Raises:
      UserError: the file has neither `mu` and `sigma` nor features, or an array has another shape or dtype.
    """
    if not ({"mu", "sigma"} <= set(found) or set(FEATURES) & set(found)):
        named = ", ".join(ascii(name).strip("'")[:40] for name in sorted(found)[:8])
        raise UserError(
            f"{path}: expected arrays 'mu' and 'sigma' (as pytorch-fid and clean-fid write them) or 'features', "
            f"or images as 'arr_0', got {named or 'no array'}"
        )
    rules = {name: rule for name, rule in _rules().items() if name in found}
    for name, rule in rules.items():
        header = found[name]
        if header.dtype.kind not in rule.kinds or not rule.shape(header.shape):
            raise UserError(f"{path}: array '{name}': expected {rule.what}, got {header}")
    return list(rules)


def count_of(path: str, array: np.ndarray) -> int:
    """Returns the number of images in `count`, one number of any dtype (int64 as this project writes it).

    Raises:
      UserError: it is not whole, or below 2.
    """
    value = array.reshape(-1)[0].item()
    if not math.isfinite(value) or value != int(value) or value < LEAST_COUNT:
        raise UserError(f"{path}: array 'count': expected a whole number, at least {LEAST_COUNT}, got {value}")
    return int(value)


def texts_of(path: str, name: str, array: np.ndarray, count: int | None) -> tuple[str, ...]:
    """Returns the images' `keys` or `names`, text [count].

    Raises:
      UserError: they are not text, not `count`, or not distinct.
    """
    try:
        texts = tuple(array.tolist())
    except ValueError as error:
        raise UserError(f"{path}: array '{name}': holds what is no text ({error})") from error
    if count is not None and len(texts) != count:
        raise UserError(f"{path}: array '{name}': expected {count}, one for each image, got {len(texts)}")
    twice = next((text for text, number in collections.Counter(texts).items() if number > 1), None)
    if twice is not None:
        raise UserError(f"{path}: array '{name}': {twice!a} is there twice; each image may count once")
    return texts


def about_of(path: str, array: np.ndarray) -> dict[str, Any]:
    """Returns the JSON object in `about`, a scalar of text.

    Raises:
      UserError: it is no JSON object, or its image size is no size.
    """
    try:
        about = json.loads(array.item())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: array 'about': is not JSON ({str(error)[:100]!a})") from error
    if not isinstance(about, dict):
        raise UserError(f"{path}: array 'about': expected a JSON object, got {type(about).__name__}")
    size = about.get("image_size")
    if size is not None and not (
        isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)
    ):
        raise UserError(f"{path}: array 'about': expected image_size as [height, width], got {json.dumps(size)[:60]}")
    return about


def check_features(path: str, name: str, features: np.ndarray) -> None:
    """Raises a UserError if features, [count, dims], are not finite, or so large that nothing can come from them."""
    _check_finite(path, name, features, LARGEST_FEATURE)


def check_moments(path: str, mean: np.ndarray, covariance: np.ndarray) -> None:
    """Checks the values of `mu` and `sigma`, float64 [dims] and [dims, dims].

    Raises:
      UserError: a value is not finite, or `sigma` is no covariance.
    """
    _check_finite(path, "mu", mean, LARGEST_FEATURE)
    _check_finite(path, "sigma", covariance, LARGEST_FEATURE**2)
    asymmetry = float(np.abs(covariance - covariance.T).max())
    if asymmetry > SYMMETRY_TOLERANCE * float(np.abs(covariance).max()):
        raise UserError(
            f"{path}: array 'sigma': is not symmetric (values that must be equal differ by {asymmetry:.3g}), "
            "so it is no covariance"
        )
    _check_eigenvalues(path, covariance)


def check_same_moments(path: str, name: str, given: np.ndarray, of_features: np.ndarray) -> None:
    """Raises a UserError if `mu` or `sigma` (`name`), float64, is not that of the features in the same file."""
    difference = float(np.abs(given - of_features).max())
    if not difference <= FEATURES_TOLERANCE * float(np.abs(of_features).max()):
        raise UserError(
            f"{path}: array '{name}': is not that of the features beside it (largest difference {difference:.3g}); "
            "the file mixes two sets"
        )


def _check_eigenvalues(path: str, covariance: np.ndarray) -> None:
    trace = float(np.trace(covariance))
    shifted = covariance + EIGENVALUE_TOLERANCE * max(trace, 0.0) * np.eye(len(covariance))
    try:
        np.linalg.cholesky(shifted)  # exists if all eigenvalues are positive, and takes a tenth of the time of these
        return
    except np.linalg.LinAlgError:
        lowest = float(np.linalg.eigvalsh(covariance)[0])
    if lowest < -EIGENVALUE_TOLERANCE * max(trace, 0.0):
        raise UserError(
            f"{path}: array 'sigma': has the negative eigenvalue {lowest:.3g} (its trace is {trace:.3g}), "
            "so it is no covariance"
        )


def _check_finite(path: str, name: str, array: np.ndarray, largest: float) -> None:
    if not np.isfinite(array).all():
        raise UserError(f"{path}: array '{name}': holds NaN or infinity; the features that it comes from were damaged")
    found = float(np.abs(array).max())
    if found > largest:
        raise UserError(f"{path}: array '{name}': holds {found:.3g}; no feature of an image is so large")
