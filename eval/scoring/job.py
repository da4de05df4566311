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
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np

from eval.distances.combine import CombineStatistics
from eval.features.extractors import Extractor, load_extractor
from eval.features.inception_graph import FEATURE_DIMS
from eval.images import color_figures
from eval.images.reading import Part, read_part
from eval.images.sets import ImageSet
from eval.images.sources import Source
from eval.scoring import feature_store
from eval.scoring.arguments import Options
from eval.scoring.feature_store import Features
from eval.scoring.group_statistics import write_group

# One network and one batch in it at a time for all threads of a process: TensorFlow uses every core by itself, and a
# second batch would only double the memory.
_network = threading.Lock()
_images_done = 0
_FULL_BATCHES = 16  # what one worker makes at a time: at worst one batch in seventeen is padding


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
