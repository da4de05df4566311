"""From a pair's features and statistics to its score, and to the images that the report shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from eval.distances import kid, neighbors
from eval.distances.floor import expected_floor
from eval.distances.frechet import frechet_distance
from eval.distances.saved_statistics import MAX_FEATURES
from eval.distances.spread import measure_spread
from eval.distances.statistics import Statistics
from eval.features.extractors import Extractor
from eval.images.sets import GROUPS, ImageSet, grouped
from eval.scoring import feature_store, group_statistics
from eval.scoring.arguments import PAPER_COUNT
from eval.scoring.feature_store import Features
from eval.scoring.plan import OVERLAP_ALLOWED, OVERLAP_NONE, Pair
from eval.scoring.result import FLOOR_EXPECTED, FLOOR_MEASURED, Score, ScoredSet

_KID_BLOCK = 1000  # images of a tenth that count in the kernel distance, whose cost is quadratic
_SHOWN = 8
_LEAST_IN_GROUP = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetFeatures:
    """What is known of a set: statistics of its tenths (one where there are none), and features where they are kept."""

    groups: tuple[Statistics, ...]
    features: Features | None

    @property
    def merged(self) -> Statistics:
        return merge(self.groups)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extremes:
    """Names of images and their distances to the nearest truth in feature space: the nearest, the farthest first."""

    nearest: tuple[tuple[str, float], ...]
    farthest: tuple[tuple[str, float], ...]


def merge(groups: Sequence[Statistics]) -> Statistics:
    """The statistics of all groups together."""
    merged = groups[0]
    for statistics in groups[1:]:
        merged = merged.merge(statistics)
    return merged


def load_set(images_set: ImageSet, extractor: Extractor, store: str, statistics_folder: str) -> SetFeatures:
    """What a run computed for a set, or what its file has. Raises UserError as `group_statistics.read_groups`."""
    if images_set.saved:
        return _from_file(images_set)
    groups = tuple(group_statistics.read_groups(statistics_folder, images_set))
    if images_set.count > MAX_FEATURES:
        return SetFeatures(groups=groups, features=None)
    parts = []
    for source in images_set.sources:
        for index, names in enumerate(source.parts):
            chosen = [name for name in names if name in images_set.chosen]
            if chosen:
                kept = feature_store.load(feature_store.part_path(store, source, extractor, index))
                parts.append(kept.select(chosen))
    return SetFeatures(groups=groups, features=feature_store.joined(parts))


def _from_file(images_set: ImageSet) -> SetFeatures:
    saved = images_set.saved
    if saved.features is None:
        return SetFeatures(groups=(saved.statistics(),), features=None)
    names = saved.keys or tuple(str(row) for row in range(len(saved.features)))
    unknown = np.full(len(names), np.nan, np.float32)
    features = Features(names=names, features=saved.features, colorfulness=unknown, diversity=unknown)
    blocks = _blocks(features)
    return SetFeatures(groups=tuple(map(Statistics.from_features, blocks)), features=features)


def _blocks(features: Features, largest: int | None = None) -> list[np.ndarray]:
    """Features of each tenth, in the set's order; at most `largest` of each."""
    groups = grouped(features.names)
    member = np.array([groups[name] for name in features.names])
    blocks = [features.features[member == group][:largest] for group in range(GROUPS)]
    return [block for block in blocks if len(block)]


def score(pair: Pair, load: Callable[[ImageSet], SetFeatures], extractor: Extractor, image: str) -> Score:
    """All numbers of one comparison.

    Args:
      pair: what is compared.
      load: gives what is known of a set.
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
    """Tenths of both, or the whole where a set has no tenths or too few images for them."""
    sides = []
    for side in (real, fake):
        too_small = len(side.groups) < GROUPS or min(group.count for group in side.groups) < _LEAST_IN_GROUP
        sides.append([side.merged] if too_small else side.groups)
    return sides[0], sides[1]


def _floor(pair: Pair, real: SetFeatures, load: Callable[[ImageSet], SetFeatures]) -> tuple[float | None, str | None]:
    if pair.floor is not None:
        return frechet_distance(real.merged, load(pair.floor).merged), FLOOR_MEASURED
    counts = {pair.real.count, pair.fake.count} - {None}
    # Below full rank the covariance itself is too uncertain to say what two sets of it would do.
    if len(counts) != 1 or min(counts) <= real.merged.dims:
        return None, None
    return expected_floor(real.merged, min(counts)), FLOOR_EXPECTED


def _kid(real: SetFeatures, fake: SetFeatures) -> tuple[float | None, float | None]:
    if real.features is None or fake.features is None:
        return None, None
    blocks = [_blocks(side.features, _KID_BLOCK) for side in (real, fake)]
    if len(blocks[0]) != len(blocks[1]) or min(len(block) for side in blocks for block in side) < _LEAST_IN_GROUP:
        blocks = [[side.features.features[:_KID_BLOCK]] for side in (real, fake)]
    return kid.kernel_distance(*blocks)


def _color_figures(side: SetFeatures) -> tuple[float | None, float | None]:
    if side.features is None:
        return None, None
    figures = []
    for values in (side.features.colorfulness, side.features.diversity):
        known = values[~np.isnan(values)].astype(np.float64)
        figures.append(float(known.mean()) if known.size else None)
    return figures[0], figures[1]


def extremes(pair: Pair, load: Callable[[ImageSet], SetFeatures], shown: int = _SHOWN) -> Extremes | None:
    """The fake images nearest to any truth and farthest from all of it; None where features are not kept."""
    real, fake = load(pair.real).features, load(pair.fake).features
    if real is None or fake is None or pair.fake.saved:
        return None
    distances = neighbors.nearest_distances(fake.features, real.features)
    near, far = neighbors.extremes(distances, min(shown, len(distances) // 2))
    return Extremes(
        nearest=tuple((fake.names[row], float(distances[row])) for row in near),
        farthest=tuple((fake.names[row], float(distances[row])) for row in far),
    )


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
