"""The Beam side of coltran-fid: images -> batches of features -> statistics -> the distance, written to fid.json."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Iterator, Mapping, Sequence

import apache_beam as beam
import numpy as np

from coltran import images, records, storage
from coltran.errors import UserError
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
    statistics = [
        pipeline
        | f"Read {name}" >> ReadImages(image_set)
        | f"Batch {name}" >> beam.BatchElements(options.batch_size, options.batch_size)
        | f"Features of {name}" >> beam.ParDo(ExtractFeatures(options))
        | f"Sum up {name}" >> beam.CombineGlobally(CombineStatistics(FEATURE_DIMS))
        | f"Name {name}" >> beam.Map(lambda summed, name=name: (name, summed))
        for name, image_set in sets.items()
    ]
    _ = (
        statistics
        | "Both" >> beam.Flatten()
        | "Together" >> beam.combiners.ToDict()
        | "Score" >> beam.Map(write_result, described=described, out=options.out)
    )


class ReadImages(beam.PTransform):
    """The images of a set as uint8 [height, width, 3], in no particular order."""

    def __init__(self, image_set: ImageSet) -> None:
        super().__init__()
        self._set = image_set

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        if self._set.files:
            return (
                pipeline
                | "Files" >> beam.Create(self._set.files, reshuffle=False)
                | "Spread" >> beam.Reshuffle()
                | "Decode" >> beam.Map(read_png, size=self._set.size)
            )
        names = [records.KEY, self._set.feature]
        return (
            [
                pipeline | f"Records {index}" >> ReadRecords(folder, names)
                for index, folder in enumerate(self._set.folders)
            ]
            | beam.Flatten()
            | "Chosen" >> beam.Filter(lambda values, keys: values[records.KEY] in keys, self._set.keys)
            | "Pixels" >> beam.Map(lambda values, feature: values[feature], self._set.feature)
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
def _load(name: str, weights: str | None, resize: str, seed: int) -> Extractor:
    return load_extractor(name, weights, resize, seed=seed)


def shared_extractor(options: Options) -> Extractor:
    """The extractor of the options, loaded once a process. Raises as `load_extractor`."""
    with _network:
        return _load(options.extractor, options.weights, options.resize, options.weights_seed)


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


def write_result(statistics: Mapping[str, Statistics], described: FidResult, out: str) -> None:
    """Computes the distance and writes fid.json. Raises UserError if an engine lost or doubled images."""
    for name in ("real", "fake"):
        expected, counted = getattr(described, name).count, statistics[name].count
        if expected != counted:
            raise UserError(
                f"{counted} features of {expected} {name} images arrived: the folder changed meanwhile, or the engine "
                "loses data; run again with --runner=FnApiRunner"
            )
    distance = frechet_distance(statistics["real"], statistics["fake"])
    storage.write_bytes(out, dataclasses.replace(described, fid=distance).to_json())
