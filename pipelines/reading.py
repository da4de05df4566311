"""Beam reading of record folders, for every job that takes records.

folder = record_folder.open_folder("data/holdout", needs=[records.RGB_HI])
pipeline | ReadRecords(folder, [records.KEY, records.RGB_HI])     # PCollection of dicts
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.metrics import Metrics

from coltran.records.folder import RecordFolder, Shard


class ReadRecords(beam.PTransform):
    """A PCollection of decoded records, as `schema.decode` gives them, in no particular order.

    Shards, not records, are what is spread over the workers. A worker checks every record's checksum and every shard's
    count, so that a damaged or cut shard fails the job instead of shrinking its result.
    """

    def __init__(self, folder: RecordFolder, names: Sequence[str] | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._names = None if names is None else list(names)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
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
        self._read = Metrics.counter("records", "read")

    def process(self, shard: Shard) -> Iterator[dict[str, object]]:
        for values in self._folder.read_shard(shard, self._names):
            self._read.inc()
            yield values
