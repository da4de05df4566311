"""The Beam side of coltran-fid: images -> batches of features -> statistics -> the distance, written to fid.json."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
import numpy as np

from coltran import images, records, storage
from coltran.errors import UserError
from coltran.record_folder import RecordFolder
from eval.combine import CombineStatistics
from eval.distance import frechet_distance
from eval.extractors import Extractor, load_extractor
from eval.fid_options import Options
from eval.fid_result import FidResult
from eval.image_sets import ImageSet
from eval.inception_graph import FEATURE_DIMS
from eval.statistics import Statistics
from pipelines.reading import ReadRecords

# One network and one batch in it at a time for all threads of a process: TensorFlow uses every core by itself, and a
# second batch would only double the memory.
_network = threading.Lock()
_images_done = 0


def build(pipeline: beam.Pipeline, sets: Mapping[str, ImageSet], options: Options, described: FidResult) -> None:
    """Adds all steps to the pipeline.

    Args:
      pipeline: an empty one.
      sets: `real` and `fake`.
      options: of the command.
      described: the result without its number.
    """
    # Every folder is summed up by itself before anything is flattened: the local engine keeps what enters a Flatten in
    # memory, and that should be statistics, not images.
    statistics = [
        pipeline
        | f"Read {label}" >> read_images
        | f"Batch {label}" >> beam.BatchElements(options.batch_size, options.batch_size)
        | f"Features of {label}" >> beam.ParDo(ExtractFeatures(options))
        | f"Sum up {label}" >> beam.CombineGlobally(CombineStatistics(FEATURE_DIMS)).without_defaults()
        | f"Name {label}" >> beam.Map(lambda summed, name=name: (name, summed))
        for name, image_set in sets.items()
        for label, read_images in readers(name, image_set)
    ]
    _ = (
        statistics
        | "All" >> beam.Flatten()
        # One shuffle and no more: each one copies every 2048 x 2048 matrix (33 MB).
        | "Together" >> beam.GroupBy(lambda named: 0)
        | "Score" >> beam.MapTuple(lambda _, named: write_result(named, described, options.out))
    )


def readers(name: str, image_set: ImageSet) -> Iterator[tuple[str, beam.PTransform]]:
    """(label, transform that reads images) for all parts of a set."""
    if image_set.files:
        yield f"{name} files", ReadPngs(image_set)
    for index, folder in enumerate(image_set.folders):
        yield f"{name} folder {index}", ReadPixels(folder, image_set)


class ReadPixels(beam.PTransform):
    """The chosen images of a record folder as uint8 [height, width, 3], in no particular order."""

    def __init__(self, folder: RecordFolder, image_set: ImageSet) -> None:
        super().__init__()
        self._folder = folder
        self._feature = image_set.feature
        self._keys = image_set.keys
        self._index = (image_set.index_feature, image_set.index)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return (
            pipeline
            | ReadRecords(self._folder, [records.KEY, self._index[0], self._feature])
            | "Chosen" >> beam.Filter(is_chosen, self._keys, *self._index)
            | "Pixels" >> beam.Map(lambda values, feature: values[feature], self._feature)
        )


def is_chosen(values: Mapping[str, object], keys: frozenset[str], index_feature: str, index: int) -> bool:
    """Whether a record is the one that counts of one of the chosen images."""
    return values[records.KEY] in keys and values[index_feature] == index


class ReadPngs(beam.PTransform):
    """The PNG files of a set as uint8 [height, width, 3], in no particular order."""

    def __init__(self, image_set: ImageSet) -> None:
        super().__init__()
        self._files = image_set.files
        self._size = image_set.size

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return (
            pipeline
            | "Files" >> beam.Create(self._files, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Decode" >> beam.Map(read_png, size=self._size)
        )


def read_png(path: str, size: tuple[int, int]) -> np.ndarray:
    """A PNG as uint8 [height, width, 3]. Raises UserError if it is damaged or not of `size` (height, width)."""
    try:
        pixels = images.decode(storage.read_bytes(path), min_side=1).rgb
    except images.ImageRejected as error:
        raise UserError(f"{path}: {error}") from error
    if pixels.shape[:2] != size:
        raise UserError(
            f"{path} has {pixels.shape[1]}x{pixels.shape[0]} pixels, others of the set {size[1]}x{size[0]}; "
            "give images of one size"
        )
    return pixels


@functools.lru_cache(maxsize=1)
def _load(name: str, weights: str | None, resize: str, seed: int, framework: str) -> Extractor:
    return load_extractor(name, weights, resize, seed=seed, framework=framework)


def shared_extractor(options: Options) -> Extractor:
    """The extractor of the options, loaded once a process. Raises as `load_extractor`."""
    with _network:
        return _load(options.extractor, options.weights, options.resize, options.weights_seed, options.framework)


def images_done() -> int:
    """Images that went through the network in this process, for a progress bar."""
    return _images_done


class ExtractFeatures(beam.DoFn):
    """Lists of images -> float32 [batch, 2048]."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def setup(self) -> None:
        self._extractor = shared_extractor(self._options)

    def process(self, batch: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        global _images_done
        pixels = np.stack(batch)
        with _network:
            features = self._extractor.features(pixels)
            _images_done += len(batch)
        yield features


def write_result(parts: Iterable[tuple[str, Statistics]], described: FidResult, out: str) -> None:
    """Computes the distance and writes fid.json.

    Args:
      parts: statistics of each folder under the name of its set, `real` or `fake`.
      described: the result without its number.
      out: where to write.
    Raises:
      UserError: an engine lost or doubled images.
    """
    merged = {name: Statistics.empty(FEATURE_DIMS) for name in ("real", "fake")}
    for name, statistics in parts:
        merged[name] = merged[name].merge(statistics)
    for name, statistics in merged.items():
        expected = getattr(described, name).count
        if expected != statistics.count:
            raise UserError(
                f"{statistics.count} features of {expected} {name} images arrived: the folder changed, or the "
                "engine loses data; run again with --runner=FnApiRunner"
            )
    distance = frechet_distance(merged["real"], merged["fake"])
    storage.write_bytes(out, dataclasses.replace(described, fid=distance).to_json())
