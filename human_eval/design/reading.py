"""Reads the pixels of a study's sources in a Beam pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from coltran.records import schema as records
from coltran.records.folder import RecordFolder, Shard
from human_eval.design import plain_photos
from human_eval.design.sources import TRUTH, Source, name_of
from human_eval.folder.forms import Variant
from pipelines.beam import counters


class ReadPixels(beam.PTransform):
    """A transform to a PCollection of (key, Variant, uint8 [side, side, 3]) of the needed images."""

    def __init__(self, source: Source, needed: set[tuple[str, int]]) -> None:
        super().__init__()
        self._source, self._needed = source, needed

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Adds the steps that read the images to a pipeline."""
        source, needed = self._source, self._needed
        if source.folder is not None:
            names = [records.KEY, source.pixels] + ([records.SAMPLE] if source.model != TRUTH else [])
            return (
                pipeline
                | ReadRecords(source.folder, names)
                | "Needed" >> beam.FlatMap(_needed_records, source.model, source.pixels, needed)
            )
        files = [(key, sample, source.found[key, sample]) for key, sample in sorted(needed)]
        return (
            pipeline
            | "Files" >> beam.Create(files, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Decode" >> beam.Map(_decode_file, source)
        )


def _needed_records(
    values: Mapping[str, Any], model: str, pixels: str, needed: set[tuple[str, int]]
) -> Iterator[tuple]:
    name = name_of(values)
    if name in needed:
        yield name[0], Variant(model=model, sample=name[1]), values[pixels]


def _decode_file(entry: tuple[str, int, str], source: Source) -> tuple[str, Variant, np.ndarray]:
    key, sample, file = entry
    return key, Variant(model=source.model, sample=sample), plain_photos.read(source.path, file, source.side)


class ReadRecords(beam.PTransform):
    """A transform to a PCollection of decoded records, as `schema.decode` returns them, in no particular order.

    It spreads shards, not records, over the workers. A worker checks every record's checksum and every shard's count,
    so a shard that is damaged or cut off fails the job instead of shrinking its result.
    """

    def __init__(self, folder: RecordFolder, names: Sequence[str] | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._names = None if names is None else list(names)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Adds the steps that read the records to a pipeline."""
        return (
            pipeline
            | "Shards" >> beam.Create(list(self._folder.manifest.shards), reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_ReadShard(self._folder, self._names))
        )


class _ReadShard(beam.DoFn):
    def __init__(self, folder: RecordFolder, names: list[str] | None) -> None:
        self._folder = folder
        self._names = names

    def process(self, shard: Shard) -> Iterator[dict[str, object]]:
        for values in self._folder.read_shard(shard, self._names):
            counters.count({"read": 1}, of=counters.RECORDS)
            yield values
