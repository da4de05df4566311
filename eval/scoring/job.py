"""The Beam side of coltran-fid: images -> features, kept by part -> statistics of each tenth of each set.

A worker gets a part of a folder (a shard, or some PNG files) and the sets that its images belong to. However many sets
an image is in, it goes through the network once; what an earlier run kept does not go through it again.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.images import decoding
from coltran.records import schema
from eval.distances.combine import CombineStatistics
from eval.distances.saved_statistics import load_arrays, save_arrays
from eval.distances.statistics import Statistics
from eval.features.extractors import Extractor, load_extractor
from eval.features.inception_graph import FEATURE_DIMS
from eval.images import color_figures
from eval.images.sets import ImageSet
from eval.images.sources import Source, to_rgb
from eval.scoring import feature_store
from eval.scoring.arguments import Options
from eval.scoring.feature_store import Features

# One network and one batch in it at a time for all threads of a process: TensorFlow uses every core by itself, and a
# second batch would only double the memory.
_network = threading.Lock()
_images_done = 0
_FULL_BATCHES = 16  # what one worker makes at a time: at worst one batch in seventeen is padding


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """What a worker does at once.

    Attributes:
      source: the folder, without its list of parts.
      index: of the part.
      path: where its features are kept.
      memberships: name of an image -> the (set's identity, tenth) pairs that it counts in.
    """

    source: Source
    index: int
    path: str
    memberships: Mapping[str, tuple[tuple[str, int], ...]]


def parts_of(sets: Iterable[ImageSet], extractor: Extractor, folder: str) -> list[Part]:
    """The work for some sets, each image of each source once.

    Args:
      sets: the distinct ones.
      extractor: decides where features are kept.
      folder: of the features.
    """
    found: dict[tuple[str, int], tuple[Source, int, dict]] = {}
    for images_set in sets:
        for source in images_set.sources:
            for index, names in enumerate(source.parts):
                path = feature_store.part_path(folder, source, extractor, index)
                _, _, members = found.setdefault((source.path, path), (source, index, collections.defaultdict(list)))
                for name in names:
                    if name in images_set.groups:
                        members[name].append((images_set.identity, images_set.groups[name]))
    return [
        Part(
            source=dataclasses.replace(source, parts=()),
            index=index,
            path=path,
            memberships={name: tuple(members) for name, members in by_name.items()},
        )
        for (_, path), (source, index, by_name) in found.items()
        if by_name
    ]


def build(pipeline: beam.Pipeline, parts: Sequence[Part], options: Options, folder: str) -> None:
    """Adds all steps to the pipeline.

    Args:
      pipeline: an empty one.
      parts: of `parts_of`.
      options: of the command.
      folder: where the statistics go, a file for each tenth of each set.
    """
    _ = (
        pipeline
        | "Parts" >> beam.Create(in_groups(parts, _FULL_BATCHES * options.batch_size), reshuffle=False)
        | "Spread" >> beam.Reshuffle()
        | "Features" >> beam.ParDo(ExtractFeatures(options))
        | "Sum up" >> beam.CombinePerKey(CombineStatistics(FEATURE_DIMS))
        | "Keep" >> beam.MapTuple(lambda key, statistics: write_group(folder, *key, statistics))
    )


def in_groups(parts: Sequence[Part], least: int) -> list[list[Part]]:
    """Parts of images of one size in runs of at least `least` images, so that few batches end half empty."""
    groups: list[list[Part]] = []
    for _, same_size in itertools.groupby(parts, lambda part: part.source.size):
        images_left = 0
        for part in same_size:
            if images_left <= 0:
                groups.append([])
                images_left = least
            groups[-1].append(part)
            images_left -= len(part.memberships)
    return groups


class ExtractFeatures(beam.DoFn):
    """Lists of parts -> ((set, tenth), float32 [images, 2048])."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def setup(self) -> None:
        self._extractor = shared_extractor(self._options)

    def process(self, parts: Sequence[Part]) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
        kept = [feature_store.load(part.path) for part in parts]
        missing = [part.memberships.keys() - set(found.names) for part, found in zip(parts, kept, strict=True)]
        _count(sum(len(part.memberships) for part in parts) - sum(map(len, missing)))
        made = self._compute(parts, missing)
        for part, found, new in zip(parts, kept, made, strict=True):
            if new:
                found = feature_store.joined([found, *new])
                feature_store.save(part.path, found)
            yield from _by_member(part, found.select(part.memberships))

    def _compute(self, parts: Sequence[Part], missing: Sequence[set[str]]) -> list[list[Features]]:
        """New features of each part, in full batches that reach from one part into the next."""
        made: list[list[Features]] = [[] for _ in parts]
        chosen = (
            (place, *image)
            for place, (part, names) in enumerate(zip(parts, missing, strict=True))
            for image in read_part(part, names)
        )
        while batch := list(itertools.islice(chosen, self._options.batch_size)):
            features = self._features([pixels for _, _, pixels, _ in batch])
            for place, rows in itertools.groupby(range(len(batch)), lambda row: batch[row][0]):
                rows = list(rows)
                made[place].append(
                    Features(
                        names=tuple(batch[row][1] for row in rows),
                        features=features[rows],
                        colorfulness=np.float32([color_figures.colorfulness(batch[row][2]) for row in rows]),
                        diversity=np.float32([batch[row][3] for row in rows]),
                    )
                )
        return made

    def _features(self, pixels: list[np.ndarray]) -> np.ndarray:
        # A batch that is not full is filled up: in a batch of one size an image's features are the same bits whatever
        # is beside it, so that another grouping, or a rerun after a kill, changes nothing.
        filled = np.zeros((self._options.batch_size, *pixels[0].shape), np.uint8)
        filled[: len(pixels)] = pixels
        with _network:
            features = self._extractor.features(filled)
            _count(len(pixels))
        return features[: len(pixels)]


def _by_member(part: Part, found: Features) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
    rows = collections.defaultdict(list)
    for row, members in enumerate(part.memberships.values()):
        for member in members:
            rows[member].append(row)
    for member, chosen in rows.items():
        yield member, found.features[chosen]


def read_part(part: Part, names: set[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """(name, uint8 [h, w, 3], diversity of its samples or NaN) of a part's images of these names."""
    if names:
        yield from read_pngs(part.source, names) if part.source.folder is None else read_records(part, names)


def read_records(part: Part, names: set[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """(key, uint8 [h, w, 3], diversity of its samples or NaN) of a shard's chosen records, in file order."""
    source = part.source
    rows = source.folder.read_shard(
        source.folder.manifest.shards[part.index], [schema.KEY, source.index_feature, source.feature]
    )
    for key, same_key in itertools.groupby(rows, lambda values: values[schema.KEY]):
        if key not in names:
            continue
        found = {values[source.index_feature]: to_rgb(values[source.feature], source.feature) for values in same_key}
        if source.index not in found:
            continue
        several = source.index_feature == schema.SAMPLE and len(found) > 1
        yield key, found[source.index], color_figures.diversity(list(found.values())) if several else np.nan


def read_pngs(source: Source, names: set[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """(path, uint8 [h, w, 3], NaN) of PNG files. Raises UserError for one that is damaged or of another size."""
    for path in sorted(names):
        yield path, read_png(path, source.size), np.nan


def read_png(path: str, size: tuple[int, int]) -> np.ndarray:
    """A PNG as uint8 [height, width, 3]. Raises UserError if it is damaged or not of `size` (height, width)."""
    try:
        pixels = decoding.decode(storage.read_bytes(path), min_side=1).rgb
    except decoding.ImageRejected as error:
        raise UserError(f"{path}: {error}") from error
    if pixels.shape[:2] != size:
        raise UserError(
            f"{path} has {pixels.shape[1]}x{pixels.shape[0]} pixels, others of the set {size[1]}x{size[0]}; "
            "give images of one size"
        )
    return pixels


@functools.lru_cache(maxsize=1)
def _load(name: str, weights: str | None, resize: str, seed: int, framework: str | None) -> Extractor:
    return load_extractor(name, weights, resize, seed=seed, framework=framework)


def shared_extractor(options: Options) -> Extractor:
    """The extractor of the options, loaded once a process. Raises as `load_extractor`."""
    with _network:
        return _load(options.extractor, options.weights, options.resize, options.weights_seed, options.framework)


def images_done() -> int:
    """Images that this process is through with, for a progress bar."""
    return _images_done


def _count(images_more: int) -> None:
    global _images_done
    _images_done += images_more


def _group_path(folder: str, identity: str, group: int) -> str:
    return storage.join(folder, f"{identity}-{group}.npz")


def write_group(folder: str, identity: str, group: int, statistics: Statistics) -> None:
    """Keeps the statistics of a tenth of a set: its features where they were kept, else moments."""
    if statistics.features is not None:
        # An engine delivers in any order; in this one a rerun sums up the same bits.
        arrays = {"features": statistics.features[np.lexsort(statistics.features[:, :8].T)]}
    else:
        arrays = {"count": np.int64(statistics.count), "mean": statistics.mean, "scatter": statistics.scatter}
    save_arrays(_group_path(folder, identity, group), **arrays)


def read_groups(folder: str, images_set: ImageSet) -> list[Statistics]:
    """The statistics of a set's tenths, empty ones left out.

    Raises:
      UserError: an engine lost or doubled images.
    """
    sizes = collections.Counter(images_set.groups.values())
    groups = []
    for group, size in sorted(sizes.items()):
        path = _group_path(folder, images_set.identity, group)
        statistics = _read_group(path) if storage.exists(path) else Statistics.empty(FEATURE_DIMS)
        if statistics.count != size:
            raise UserError(
                f"{statistics.count} features of {size} images of {' '.join(images_set.paths)} arrived: the folder "
                "changed, or the engine loses data; run again with --runner=FnApiRunner"
            )
        groups.append(statistics)
    return groups


def _read_group(path: str) -> Statistics:
    arrays = load_arrays(path)
    if "features" in arrays:
        return Statistics.from_features(arrays["features"])
    return Statistics(count=int(arrays["count"]), mean=arrays["mean"], scatter=arrays["scatter"])
