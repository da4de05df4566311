"""What fid.json says: the number and all that decides on it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Sequence

from coltran import records
from coltran.errors import UserError
from eval.extractors import Extractor
from eval.fid_options import Options
from eval.image_sets import ImageSet, shared_keys

OVERLAP_NONE = "none"
OVERLAP_ALLOWED = "overlap allowed: not the paper's protocol"
OVERLAP_UNCHECKED = "overlap unchecked"
PAPER_COUNT = 5000
_VERSIONED = ("apache-beam", "coltran-pipelines", "numpy", "tensorflow")
_EXAMPLES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overlap:
    """Whether images are in both sets: one of the states above, and how many keys (None where unchecked)."""

    state: str
    keys: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredSet:
    """One of the two sets.

    Attributes:
      paths: its folders.
      kind: what they hold.
      count: images.
      part: `condition` or `truth` half, or None for all.
      sample: which sample of each image, for colorized records.
      fingerprints: of the folders.
    """

    paths: tuple[str, ...]
    kind: str
    count: int
    part: str | None
    sample: int | None
    fingerprints: tuple[str, ...]


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
      fid: the Frechet distance; None until it is computed.
      real, fake: the two sets.
      extractor: what made the features.
      image: `hi` or `lo`.
      image_size: [height, width] before the extractor's resize.
      overlap: `none`, `overlap allowed: not the paper's protocol`, or `overlap unchecked` where keys are absent.
      overlapping_keys: how many keys are in both sets; None where unchecked.
      counts_equal: whether both sets have the same number of images.
      comparable: whether the number may stand beside published ones: public weights, the paper's resize, no known
        overlap, equal counts.
      notes: what a reader must know, in words; also shown on screen.
      seed: of the parts and of --num.
      versions: of the libraries.
    """

    fid: float | None
    real: ScoredSet
    fake: ScoredSet
    extractor: ScoredBy
    image: str
    image_size: tuple[int, int]
    overlap: str
    overlapping_keys: int | None
    counts_equal: bool
    comparable: bool
    notes: tuple[str, ...]
    seed: int
    versions: dict[str, str]

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> FidResult:
        """What `to_json` wrote."""
        fields = json.loads(data)
        for name in ("real", "fake"):
            scored = fields[name]
            for key in ("paths", "fingerprints"):
                scored[key] = tuple(scored[key])
            fields[name] = ScoredSet(**scored)
        fields["extractor"] = ScoredBy(**fields["extractor"])
        fields["image_size"], fields["notes"] = tuple(fields["image_size"]), tuple(fields["notes"])
        return cls(**fields)


def check_sets(real: ImageSet, fake: ImageSet, *, allow_overlap: bool) -> Overlap:
    """Refuses two sets whose distance would mean something else than it seems to.

    Raises:
      UserError: fewer than 2 images, images of different sizes, or images of one key in both sets where
        `allow_overlap` is not set.
    """
    for name, images in (("--real", real), ("--fake", fake)):
        if images.count < 2:
            raise UserError(f"{name} {' '.join(images.paths)}: images: {images.count}, but a distance needs at least 2")
    if real.size != fake.size:
        raise UserError(
            f"--real has images of {real.size[1]}x{real.size[0]}, --fake of {fake.size[1]}x{fake.size[0]}: "
            "they would be blurred differently; give sets of one size"
        )
    shared = shared_keys(real, fake)
    if shared is None:
        return Overlap(state=OVERLAP_UNCHECKED, keys=None)
    if not shared:
        return Overlap(state=OVERLAP_NONE, keys=0)
    if not allow_overlap:
        examples = ", ".join(shared[:_EXAMPLES]) + (", ..." if len(shared) > _EXAMPLES else "")
        raise UserError(
            f"{len(shared)} of {len(fake.keys)} fake images have their own truth among the real ones ({examples}), "
            "which makes FID look better; score disjoint halves (--real_part truth --fake_part condition), or give "
            "--allow_overlap for a number that is marked"
        )
    return Overlap(state=OVERLAP_ALLOWED, keys=len(shared))


def describe(real: ImageSet, fake: ImageSet, overlap: Overlap, extractor: Extractor, options: Options) -> FidResult:
    """All of the result but the number, from what `check_sets` found."""
    counts_equal = real.count == fake.count
    return FidResult(
        fid=None,
        real=_scored(real, options.real_part),
        fake=_scored(fake, options.fake_part),
        extractor=ScoredBy(name=extractor.name, weights_sha256=extractor.weights_sha256, resize=extractor.resize),
        image=options.image,
        image_size=real.size,
        overlap=overlap.state,
        overlapping_keys=overlap.keys,
        counts_equal=counts_equal,
        comparable=extractor.comparable and overlap.state != OVERLAP_ALLOWED and counts_equal,
        notes=_notes(extractor.note, overlap.state, real.count, fake.count),
        seed=options.seed,
        versions={name: _version(name) for name in _VERSIONED},
    )


def _scored(images: ImageSet, part: str | None) -> ScoredSet:
    return ScoredSet(
        paths=images.paths,
        kind=images.kind,
        count=images.count,
        part=part,
        sample=images.index if images.index_feature == records.SAMPLE else None,
        fingerprints=images.fingerprints,
    )


def _notes(extractor_note: str, overlap: str, real: int, fake: int) -> tuple[str, ...]:
    notes = [extractor_note] if extractor_note else []
    if overlap != OVERLAP_NONE:
        notes.append(overlap)
    if real != fake:
        notes.append(f"unequal counts: {real} real and {fake} fake images")
    if min(real, fake) < PAPER_COUNT:
        notes.append(
            f"FID falls as the number of images grows: the paper used {PAPER_COUNT}, here are {min(real, fake)}"
        )
    return tuple(notes)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def report(result: FidResult, out: str) -> Sequence[tuple[str, object]]:
    """The rows that the command ends with."""
    extractor = result.extractor
    return [
        ("FID", f"{result.fid:.4f}"),
        ("real", f"{result.real.count} images, {result.real.kind}, {' '.join(result.real.paths)}"),
        ("fake", f"{result.fake.count} images, {result.fake.kind}, {' '.join(result.fake.paths)}"),
        ("extractor", f"{extractor.name}, weights {extractor.weights_sha256[:8]}, resize {extractor.resize}"),
        *(("note", note) for note in result.notes),
        ("file", out),
    ]
