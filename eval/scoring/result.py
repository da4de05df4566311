"""Defines the content of fid.json: every number, and all that affects it. docs/fid.md explains each field."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import statistics
import typing
from collections.abc import Sequence
from typing import Any

FLOOR_MEASURED, FLOOR_EXPECTED = "measured", "expected"
_VERSIONED = ("apache-beam", "coltran-pipelines", "jax", "numpy", "tensorflow")
_DIGITS = 12  # Merging in another order does not change these digits.

# Table 2 of the paper: FID and the number after its +-. The last two rows are on the holdout (section 5.3).
PAPER = {
    "ColTran": (19.37, 0.09),
    "ColTran-B": (19.98, 0.20),
    "ColTran-S": (22.06, 0.13),
    "PixColor": (24.32, 0.21),
    "cGAN": (24.41, 0.27),
    "cINN": (25.13, 0.3),
    "VAE-MDN": (25.98, 0.28),
    "truth": (14.68, 0.15),
    "grayscale": (30.19, 0.1),
    "true coarse": (16.4, None),
    "one upsampler": (16.6, None),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredSet:
    """One of the two sets: its folders, what they hold, the number of images, the half and the sample."""

    paths: tuple[str, ...]
    kind: str
    count: int | None
    part: str | None
    sample: int | None
    fingerprints: tuple[str, ...]
    colorfulness: float | None = None
    diversity: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One comparison: the number, how sure it is, and what a reader must know about it.

    Attributes:
      seed: seed of the halves and of --num.
      real, fake: the sets.
      fid: the Frechet distance.
      standard_error: its standard error, by a jackknife over ten disjoint groups.
      fid_corrected: the jackknife's estimate without the bias of a finite number of images.
      fid_infinite, fid_infinite_standard_error: the FID extrapolated to infinitely many images, and its error.
      curve: (images, FID) of smaller subsets, up to the whole set.
      floor: the distance of truth from truth at the same number of images; None if it cannot be known.
      floor_by: `measured` on the other half's truth, or `expected` from the real covariance.
      kid, kid_standard_error: the kernel distance, unbiased at any number of images, and its error.
      overlap, overlapping_keys: as in `pairs.Pair`.
      counts_equal: whether both sets have the same number of images; None if a file does not tell its number.
      comparable: whether the number can be compared with published ones. This needs public weights, the paper's resize,
        5000 images of 256x256 on each side, no known overlap, and high resolution.
      notes: what a reader must know, in words.
    """

    seed: int
    real: ScoredSet
    fake: ScoredSet
    fid: float
    standard_error: float | None
    fid_corrected: float | None
    fid_infinite: float | None
    fid_infinite_standard_error: float | None
    curve: tuple[tuple[int, float], ...]
    floor: float | None
    floor_by: str | None
    kid: float | None
    kid_standard_error: float | None
    overlap: str
    overlapping_keys: int | None
    counts_equal: bool | None
    comparable: bool
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowResult:
    """A row with the mean and standard deviation over its repeats.

    Attributes:
      name: name of the row.
      fid: mean over repeats.
      fid_std: standard deviation over repeats (divided by repeats - 1); None for one repeat.
      paper, paper_std: the paper's numbers under this name, or None if its table has none.
      step: step of the colorizer's checkpoint, or None if the folder does not tell it.
      bits: held-out bits per pixel, as given by --bits.
      scores: the repeats.
    """

    name: str
    fid: float
    fid_std: float | None
    paper: float | None
    paper_std: float | None
    step: int | None
    bits: float | None
    scores: tuple[Score, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredBy:
    """The extractor that made the features. Its fields are those of `extractors.Extractor`."""

    name: str
    weights_sha256: str
    resize: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class FidResult:
    """The content of fid.json.

    Attributes:
      fingerprint: sha256 over all that affects the numbers. A rerun with another fingerprint is refused.
      extractor: what made the features.
      image: `hi`, `lo` or `coarse`.
      image_size: [height, width] before the extractor's resize.
      correlation: correlation of FID and bits over the rows that have both (at least 3), else None.
      rows: the results.
      versions: versions of the libraries.
    """

    fingerprint: str
    extractor: ScoredBy
    image: str
    image_size: tuple[int, int] | None
    correlation: float | None
    rows: tuple[RowResult, ...]
    versions: dict[str, str]

    def to_json(self) -> bytes:
        """Returns the bytes of fid.json."""
        return json.dumps(_rounded(dataclasses.asdict(self)), indent=1).encode() + b"\n"

    def by_step(self) -> list[tuple[int, RowResult]]:
        """Lists (step, row) for all rows with a known checkpoint step, sorted by step."""
        known = [(row.step, row) for row in self.rows if row.step is not None]
        return sorted(known, key=lambda step_and_row: step_and_row[0])

    @classmethod
    def from_json(cls, data: bytes) -> FidResult:
        """Reads what `to_json` wrote."""
        return _read(cls, json.loads(data))


def _rounded(value: Any) -> Any:
    """Returns the same value with all floats rounded to `_DIGITS` significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def _read(kind: Any, value: Any) -> Any:
    """Turns JSON's lists and objects into the tuples and dataclasses that `kind` names."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _read(hints[name], item) for name, item in value.items()})
    if typing.get_origin(kind) is tuple:
        item_kind = typing.get_args(kind)[0]
        return tuple(_read(item_kind, item) for item in value)
    if value is not None and tuple in [typing.get_origin(one) for one in typing.get_args(kind)]:
        return tuple(value)
    return value


def row_result(name: str, scores: Sequence[Score], *, step: int | None, bits: float | None) -> RowResult:
    """Makes a row from its repeats, with their mean and deviation and with the paper's number."""
    numbers = [score.fid for score in scores]
    paper, paper_std = {known.lower(): value for known, value in PAPER.items()}.get(name.lower(), (None, None))
    return RowResult(
        name=name,
        fid=statistics.fmean(numbers),
        fid_std=statistics.stdev(numbers) if len(numbers) > 1 else None,
        paper=paper,
        paper_std=paper_std,
        step=step,
        bits=bits,
        scores=tuple(scores),
    )


def correlation(rows: Sequence[RowResult]) -> float | None:
    """Returns Pearson's correlation of FID and bits.

    It returns None for fewer than 3 rows with bits, or if FID or bits are constant.
    """
    points = [(row.bits, row.fid) for row in rows if row.bits is not None]
    if len(points) < 3:
        return None
    try:
        return statistics.correlation(*zip(*points, strict=True))
    except statistics.StatisticsError:
        return None


def versions() -> dict[str, str]:
    """Returns the versions of the libraries that the numbers depend on."""
    return {name: _version(name) for name in _VERSIONED}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
