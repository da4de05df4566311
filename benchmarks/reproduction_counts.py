"""Count models of coarse colors: what a colorizer must beat. `benchmarks/reproduction.py` puts them in its first table.

Each predicts a pixel's coarse color from counts of training images in ever wider contexts. A context's counts are mixed
with the next smaller context's probabilities, which weigh as much as there are different colors in the context (Witten
and Bell's method, "The zero-frequency problem", 1991).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from coltran.images.colors import NUM_COARSE_COLORS
from coltran.records import folder as record_folder, schema

_NONE = NUM_COARSE_COLORS  # stands for the color of a neighbor beyond the edge
_GRAY_STEP = 32  # neighbors' grays are counted in 8 steps

Context = Callable[["Images"], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Images:
    """int64 [N, H, W] each: gray levels 0..255 and coarse colors 0..511."""

    gray: np.ndarray
    symbols: np.ndarray


def read(path: str, num: int | None = None) -> Images:
    """Reads the low-resolution grays and coarse colors of a record folder, of its first `num` images."""
    folder = record_folder.open_folder(path, schema=schema.TRUTH)
    gray, symbols = [], []
    for shard in folder.manifest.shards:
        for record in folder.read_shard(shard, [schema.GRAY_LO, schema.COARSE_LO]):
            gray.append(record[schema.GRAY_LO])
            symbols.append(record[schema.COARSE_LO])
    return Images(np.stack(gray[:num]).astype(np.int64), np.stack(symbols[:num]).astype(np.int64))


def no_context(images: Images) -> np.ndarray:
    """Gives every pixel the same context."""
    return np.zeros_like(images.gray)


def own_gray(images: Images) -> np.ndarray:
    """Gives each pixel its gray level."""
    return images.gray


def neighbors_gray(images: Images) -> np.ndarray:
    """Adds the mean gray of the four neighbors and their range, in steps: finer contexts would be seen too seldom."""
    around = np.pad(images.gray, ((0, 0), (1, 1), (1, 1)), mode="edge")
    four = np.stack([around[:, 1:-1, :-2], around[:, 1:-1, 2:], around[:, :-2, 1:-1], around[:, 2:, 1:-1]])
    mean, reach = four.mean(axis=0).astype(np.int64), np.ptp(four, axis=0)
    return (images.gray * 256 + mean // _GRAY_STEP) * 256 + reach // _GRAY_STEP


def left_color(images: Images) -> np.ndarray:
    """Gives each pixel its gray level and the color to its left, which an autoregressive model knows too."""
    return images.gray * (_NONE + 1) + _shifted(images.symbols, axis=2)


def left_and_upper_color(images: Images) -> np.ndarray:
    """Adds the color above."""
    return left_color(images) * (_NONE + 1) + _shifted(images.symbols, axis=1)


def _shifted(symbols: np.ndarray, axis: int) -> np.ndarray:
    moved = np.roll(symbols, 1, axis=axis)
    np.moveaxis(moved, axis, 0)[0] = _NONE
    return moved


# Name in the table -> contexts, from the smallest.
MODELS: dict[str, tuple[Context, ...]] = {
    "histogram": (no_context,),
    "given its gray level": (no_context, own_gray),
    "given its and its neighbors' gray levels": (no_context, own_gray, neighbors_gray),
    "given its gray level and the colors to its left and above": (
        no_context,
        own_gray,
        left_color,
        left_and_upper_color,
    ),
}


def bits(model: str, train: Images, test: Images) -> float:
    """Measures the bits per pixel of `test` under a model of MODELS, counted on `train`."""
    probability = np.full(test.symbols.size, 1 / NUM_COARSE_COLORS)
    for context in MODELS[model]:
        known, wanted = context(train).ravel(), context(test).ravel()
        pairs, counts = np.unique(known * NUM_COARSE_COLORS + train.symbols.ravel(), return_counts=True)
        seen = _lookup(pairs, counts, wanted * NUM_COARSE_COLORS + test.symbols.ravel())
        total = _lookup(*np.unique(known, return_counts=True), wanted)
        different = _lookup(*np.unique(pairs // NUM_COARSE_COLORS, return_counts=True), wanted)
        unknown = different == 0  # then the smaller context alone speaks
        probability = np.where(
            unknown, probability, (seen + different * probability) / np.maximum(total + different, 1)
        )
    return float(-np.log2(probability).mean())


def _lookup(values: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns the count of each wanted value, 0 for one that is not among the sorted `values`."""
    place = np.searchsorted(values, wanted).clip(max=values.size - 1)
    return np.where(values[place] == wanted, counts[place], 0)
