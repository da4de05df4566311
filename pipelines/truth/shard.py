"""The worker's part of coltran-preprocess turns the images of one shard into one TFRecord file."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics

from coltran.images.decoding import ImageRejected
from pipelines.shards import job as shard_job
from pipelines.sources.image_ref import ImageRef
from pipelines.sources.reading import read_images
from pipelines.truth.arguments import Options
from pipelines.truth.record import make_records
from pipelines.truth.summary import TruthSums


class WriteTruthShard(beam.DoFn):
    """Makes one shard from its planned inputs. It lists an unusable image with the reason, and never drops it."""

    def __init__(self, job: shard_job.ShardJob, options: Options) -> None:
        self._job = job
        self._options = options

    def process(self, index: int) -> Iterator[int]:
        sums = TruthSums()
        with shard_job.write_shard(self._job, index) as writer:
            lines = shard_job.read_inputs(self._job, index)
            for line in lines:
                if "duplicate" in line:
                    message = f"another image has the key '{line['key']}'; rename one of them"
                    writer.reject(line["name"], "duplicate_key", message)
            refs = [ImageRef.from_json(line) for line in lines if "duplicate" not in line]
            for ref, data in read_images(refs):
                self._add(writer, sums, ref, data)
            writer.statistics = sums.to_json()
        for name, number in writer.counts.items():
            Metrics.counter("images", name).inc(number)
        yield index

    def _add(self, writer: shard_job.ShardWriter, sums: TruthSums, ref: ImageRef, data: bytes | ImageRejected) -> None:
        try:
            made = make_records(ref, data, self._options)
        except ImageRejected as error:
            writer.reject(ref.name, error.reason, str(error))
            return
        for values in made.values:
            sums.add(values)
        writer.write(*made.encoded, **made.counts)
