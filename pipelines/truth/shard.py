"""The step of coltran-preprocess's pipeline, which turns the images of one shard into one TFRecord file."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam

from pipelines.shards import counters
from pipelines.shards.job import ShardJob
from pipelines.shards.report import is_made
from pipelines.truth.arguments import Options
from pipelines.truth.worker import make_shard


class WriteTruthShard(beam.DoFn):
    """Makes one shard from its planned inputs, and counts its images in Beam's metrics."""

    def __init__(self, job: ShardJob, options: Options) -> None:
        self._job = job
        self._options = options

    def process(self, index: int) -> Iterator[int]:
        # An engine hands out a shard again if a worker dies after making it.
        if not is_made(self._job, index):
            counters.count_report(make_shard(self._job, self._options, index).report())
        yield index
