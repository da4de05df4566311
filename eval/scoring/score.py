"""Computes the score of a pair from the features and statistics of its sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coltran import cli
from eval.distances import kid
from eval.distances.floor import expected_floor
from eval.distances.frechet import frechet_distance
from eval.distances.spread import measure_spread
from eval.distances.statistics import Statistics
from eval.features.extractors import Extractor
from eval.images.sets import GROUPS, ImageSet
from eval.scoring.arguments import PAPER_COUNT, Options
from eval.scoring.pairs import OVERLAP_ALLOWED, OVERLAP_NONE, Pair
from eval.scoring.plan import Row
from eval.scoring.result import (
    FLOOR_EXPECTED,
    FLOOR_MEASURED,
    FidResult,
    Score,
    ScoredBy,
    ScoredSet,
    correlation,
    row_result,
    versions,
)
from eval.scoring.set_features import Load, SetFeatures, blocks

_KID_BLOCK = 1000  # The kernel distance uses at most this many images of a tenth, because its cost is quadratic.
_LEAST_IN_GROUP = 2
PAPER_SIZE = (256, 256)


def score_rows(rows: Sequence[Row], load: Load, extractor: Extractor, fingerprint: str, options: Options) -> FidResult:
    """Computes all numbers of all rows.

    Args:
      rows: the planned rows.
      load: function that returns the statistics and features of a set.
      extractor: what made the features.
      fingerprint: fingerprint of the run.
      options: the command's options.
    """
    results = []
    with cli.progress_bar(sum(len(row.pairs) for row in rows), "scoring", "pairs", delay=2) as bar:
        for row in rows:
            scores = []
            for pair in row.pairs:
                scores.append(score(pair, load, extractor, options.image))
                bar.update()
            bits = dict(options.bits).get(row.name)
            results.append(row_result(row.name, scores, step=row.step, bits=bits))
    return FidResult(
        fingerprint=fingerprint,
        extractor=ScoredBy(name=extractor.name, weights_sha256=extractor.weights_sha256, resize=extractor.resize),
        image=options.image,
        image_size=next((pair.fake.size for row in rows for pair in row.pairs if pair.fake.size), None),
        correlation=correlation(results),
        rows=tuple(results),
        versions=versions(),
    )


def score(pair: Pair, load: Load, extractor: Extractor, image: str) -> Score:
    """Computes all numbers of one comparison.

    Args:
      pair: the two sets to compare.
      load: function that returns the statistics and features of a set.
      extractor: what made the features.
      image: `hi`, `lo` or `coarse`.
    """
    real, fake = load(pair.real), load(pair.fake)
    spread = measure_spread(*_comparable_groups(real, fake))
    floor, floor_by = _floor(pair, real, load)
    kernel, kernel_error = _kid(real, fake)
    said, comparable = notes(pair, extractor, image)
    return Score(
        seed=pair.seed,
        real=scored_set(pair.real, *_color_figures(real)),
        fake=scored_set(pair.fake, *_color_figures(fake)),
        fid=spread.fid,
        standard_error=spread.standard_error,
        fid_corrected=spread.corrected,
        fid_infinite=spread.infinite,
        fid_infinite_standard_error=spread.infinite_standard_error,
        curve=spread.curve,
        floor=floor,
        floor_by=floor_by,
        kid=kernel,
        kid_standard_error=kernel_error,
        overlap=pair.overlap,
        overlapping_keys=pair.overlapping_keys,
        counts_equal=None if None in (pair.real.count, pair.fake.count) else pair.real.count == pair.fake.count,
        comparable=comparable,
        notes=said,
    )


def _comparable_groups(real: SetFeatures, fake: SetFeatures) -> tuple[Sequence[Statistics], Sequence[Statistics]]:
    """Returns each set's tenths, or the set as one group if it has no tenths or too few images for them."""
    sides = []
    for side in (real, fake):
        too_small = len(side.groups) < GROUPS or min(group.count for group in side.groups) < _LEAST_IN_GROUP
        sides.append((side.merged,) if too_small else side.groups)
    return sides[0], sides[1]


def _floor(pair: Pair, real: SetFeatures, load: Load) -> tuple[float | None, str | None]:
    if pair.floor is not None:
        return frechet_distance(real.merged, load(pair.floor).merged), FLOOR_MEASURED
    counts = {count for count in (pair.real.count, pair.fake.count) if count is not None}
    # Without full rank, the covariance is too uncertain to predict the distance of two sets that have it.
    if len(counts) != 1 or min(counts) <= real.merged.dims:
        return None, None
    return expected_floor(real.merged, min(counts)), FLOOR_EXPECTED


def _kid(real: SetFeatures, fake: SetFeatures) -> tuple[float | None, float | None]:
    if real.features is None or fake.features is None:
        return None, None
    both = (real.features, fake.features)
    first, second = (blocks(features, _KID_BLOCK) for features in both)
    if len(first) != len(second) or min(len(block) for block in first + second) < _LEAST_IN_GROUP:
        first, second = ([features.features[:_KID_BLOCK]] for features in both)
    return kid.kernel_distance(first, second)


def _color_figures(side: SetFeatures) -> tuple[float | None, float | None]:
    if side.features is None:
        return None, None
    figures = []
    for values in (side.features.colorfulness, side.features.diversity):
        known = values[~np.isnan(values)].astype(np.float64)
        figures.append(float(known.mean()) if known.size else None)
    return figures[0], figures[1]


def scored_set(images: ImageSet, colorfulness: float | None, diversity: float | None) -> ScoredSet:
    """Makes the part of the result that describes a set."""
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


def notes(pair: Pair, extractor: Extractor, image: str) -> tuple[tuple[str, ...], bool]:
    """Returns the notes that a reader must know, and whether the pair's number can be compared with published ones."""
    real, fake = pair.real.count, pair.fake.count
    found = [extractor.note] if extractor.note else []
    if pair.overlap != OVERLAP_NONE:
        found.append(pair.overlap)
    for side, images in (("real", pair.real), ("fake", pair.fake)):
        found += [f"{side}: {line}" for line in images.told]
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
    size = pair.fake.size or pair.real.size
    if image == "hi" and size is not None and size != PAPER_SIZE:
        found.append(f"of images of {size[1]}x{size[0]}: the paper's have {PAPER_SIZE[1]}x{PAPER_SIZE[0]}")
    comparable = (
        extractor.comparable
        and pair.overlap != OVERLAP_ALLOWED
        and known == [PAPER_COUNT, PAPER_COUNT]
        and image == "hi"
        and size in (None, PAPER_SIZE)
    )
    return tuple(found), comparable
