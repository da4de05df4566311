"""What fid.json says: every number, and all that decides on it. docs/fid.md explains it field by field."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import statistics
import typing
from collections.abc import Iterator, Sequence

from coltran import cli
from eval.features.extractors import Extractor
from eval.images.sets import ImageSet
from eval.scoring.arguments import PAPER_COUNT
from eval.scoring.plan import OVERLAP_ALLOWED, OVERLAP_NONE, Pair

FLOOR_MEASURED, FLOOR_EXPECTED = "measured", "expected"
_VERSIONED = ("apache-beam", "coltran-pipelines", "jax", "numpy", "tensorflow")
_DIGITS = 12  # what merging in another order leaves alone

# Table 2 of the paper: FID and what stands behind its +-. The last two are on the holdout (section 5.3).
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
    """One of the two sets: its folders, what they hold, how many images, which half by which seed, which sample."""

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
    """One comparison: the number, how sure it is, and what must be known to read it.

    Attributes:
      seed: of the halves and of --num.
      real, fake: the sets.
      fid: the Frechet distance.
      standard_error: of it, by a jackknife over ten disjoint groups.
      fid_corrected: the jackknife's estimate without the bias of a finite number of images.
      fid_infinite, fid_infinite_standard_error: extrapolated to infinitely many images.
      curve: (images, FID) of smaller subsets, up to the whole.
      floor: the distance of truth from truth at the same number of images; None where it cannot be known.
      floor_by: `measured` on the other half's truth, or `expected` from the real covariance.
      kid, kid_standard_error: kernel distance, unbiased at any number of images.
      overlap, overlapping_keys: as in `plan.Pair`.
      counts_equal: whether both sets have the same number of images; None where a file does not say.
      comparable: whether the number may stand beside published ones: public weights, the paper's resize, 5000 images
        of each, no known overlap, high resolution.
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
    """A row: mean and standard deviation over its repeats.

    Attributes:
      name: of the row.
      fid: mean over repeats.
      fid_std: standard deviation over repeats (divided by repeats - 1); None for one.
      paper, paper_std: what the paper's table has under this name, else None.
      step: of the colorizer's checkpoint, where the folder says.
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
    """The extractor: as in `extractors.Extractor`."""

    name: str
    weights_sha256: str
    resize: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class FidResult:
    """The content of fid.json.

    Attributes:
      fingerprint: sha256 over all that decides on the numbers; a rerun with another one is refused.
      extractor: what made the features.
      image: `hi`, `lo` or `coarse`.
      image_size: [height, width] before the extractor's resize.
      correlation: of FID and bits over the rows that have both (at least 3), else None.
      rows: the results.
      versions: of the libraries.
    """

    fingerprint: str
    extractor: ScoredBy
    image: str
    image_size: tuple[int, int] | None
    correlation: float | None
    rows: tuple[RowResult, ...]
    versions: dict[str, str]

    def to_json(self) -> bytes:
        return json.dumps(_rounded(dataclasses.asdict(self)), indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> FidResult:
        """What `to_json` wrote."""
        return _read(cls, json.loads(data))


def _rounded(value):
    """The same value with floats at `_DIGITS` significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, (list, tuple)) else value


def _read(kind, value):
    """JSON's lists and objects as the tuples and dataclasses that `kind` says."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _read(hints[name], part) for name, part in value.items()})
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        return tuple(_read(item, part) for part in value)
    if value is not None and tuple in (typing.get_origin(part) for part in typing.get_args(kind)):
        return tuple(value)
    return value


def scored_set(images: ImageSet, colorfulness: float | None, diversity: float | None) -> ScoredSet:
    """What the result says of a set."""
    return ScoredSet(
        paths=images.paths,
        kind=images.kind,
        count=images.count,
        part=images.part,
        sample=images.sample,
        fingerprints=images.fingerprints,
        colorfulness=colorfulness,
        diversity=diversity,
    )


def row_result(name: str, scores: Sequence[Score], *, step: int | None, bits: float | None) -> RowResult:
    """Mean and deviation of a row's repeats, and the paper's number beside them."""
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
    """Pearson's, of FID and bits; None below 3 rows that have bits, or where one of the two does not vary."""
    points = [(row.bits, row.fid) for row in rows if row.bits is not None]
    if len(points) < 3:
        return None
    try:
        return statistics.correlation(*zip(*points, strict=True))
    except statistics.StatisticsError:
        return None


def notes(pair: Pair, extractor: Extractor, image: str) -> tuple[tuple[str, ...], bool]:
    """(what a reader must know of a pair, whether its number may stand beside published ones)."""
    real, fake = pair.real.count, pair.fake.count
    found = [extractor.note] if extractor.note else []
    if pair.overlap != OVERLAP_NONE:
        found.append(pair.overlap)
    for images in (pair.real, pair.fake):
        if images.saved and images.count is None:
            found.append(f"{images.paths[0]} does not say of how many images it is")
        if images.saved and images.saved.about is None:
            found.append(f"extractor of {images.paths[0]} unchecked")
    known = [count for count in (real, fake) if count is not None]
    if len(set(known)) > 1:
        found.append(f"unequal counts: {real} real and {fake} fake images")
    if known and min(known) != PAPER_COUNT:
        found.append(f"FID falls as the number of images grows: the paper used {PAPER_COUNT}, here are {min(known)}")
    if image != "hi":
        found.append(f"of {image} images, before they are enlarged to 256x256")
    comparable = (
        extractor.comparable
        and pair.overlap != OVERLAP_ALLOWED
        and known == [PAPER_COUNT, PAPER_COUNT]
        and image == "hi"
    )
    return tuple(found), comparable


def versions() -> dict[str, str]:
    """Of the libraries that the numbers depend on."""
    return {name: _version(name) for name in _VERSIONED}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def report(result: FidResult, out: str) -> Iterator[str]:
    """The lines that the command ends with: one a row, then what holds for all of them."""
    width = max(len(row.name) for row in result.rows)
    for row in result.rows:
        yield f"{row.name:<{width}}  {_number(row)}"
    first = result.rows[0].scores[0]
    extractor = result.extractor
    facts = [
        ("real", f"{first.real.count} images, {first.real.kind}, {' '.join(first.real.paths)}"),
        *(("fake", line) for line in dict.fromkeys(map(_fakes, result.rows))),
        ("extractor", f"{extractor.name}, weights {extractor.weights_sha256[:8]}, resize {extractor.resize}"),
    ]
    said = dict.fromkeys(note for row in result.rows for score in row.scores for note in score.notes)
    facts += [("note", note) for note in said]
    if result.correlation is not None:
        facts.append(("correlation", f"{result.correlation:.2f} of FID and held-out bits"))
    facts.append(("folder", f"{out} (look at report.html)"))
    yield cli.table(facts)


def _fakes(row: RowResult) -> str:
    paths = " ".join(dict.fromkeys(path for score in row.scores for path in score.fake.paths))
    return f"{row.scores[0].fake.count} images, {row.scores[0].fake.kind}, {paths}"


def _number(row: RowResult) -> str:
    """`FID 19.3700 +- 0.0900 (3 samplings)  floor 14.68  paper 19.37`."""
    score = row.scores[0]
    parts = [f"FID {row.fid:.4f}"]
    if row.fid_std is not None:
        parts[0] += f" +- {row.fid_std:.4f} ({len(row.scores)} samplings)"
    elif score.standard_error is not None:
        parts[0] += f" (standard error {score.standard_error:.4f})"
    if score.fid_corrected is not None:
        parts.append(f"bias-corrected {statistics.fmean(s.fid_corrected for s in row.scores):.4f}")
    if score.floor is not None:
        parts.append(f"floor {statistics.fmean(s.floor for s in row.scores):.4f}")
    if score.kid is not None:
        parts.append(f"KID {statistics.fmean(s.kid for s in row.scores):.6f}")
    if row.paper is not None and score.comparable:
        parts.append(f"paper {row.paper}")
    return ", ".join(parts)
