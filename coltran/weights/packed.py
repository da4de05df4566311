"""Packs a checkpoint's arrays to ship them: one set of weights as float16, without an optimizer.

    <folder>/weights.npz       {parameter name: float16 array}, in place of arrays/

The model that ships with this package is packed; `coltran.weights.checkpoint` reads and writes such folders.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = "weights.npz"
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)  # what `read` raises for a damaged file


def is_packed(folder: Path) -> bool:
    """Tells whether a checkpoint folder holds packed weights."""
    return (folder / WEIGHTS).is_file()


def read(folder: Path) -> dict[str, np.ndarray]:
    """Reads the weights of a packed checkpoint as float32. Raises one of UNREADABLE for a damaged file."""
    try:
        with np.load(folder / WEIGHTS) as file:
            return {name: file[name].astype(np.float32) for name in file.files}
    except Exception as error:  # zipfile and NumPy raise many types on damaged data
        raise ValueError(f"{WEIGHTS} is damaged: {error}") from error


def write(folder: Path, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Writes float arrays as float16 into `folder`. Returns them as float32, as `read` will return them."""
    half: dict[str, Any] = {name: np.asarray(array, np.float16) for name, array in weights.items()}
    np.savez(folder / WEIGHTS, **half)
    return {name: array.astype(np.float32) for name, array in half.items()}
