"""Makes one shard of truth records from its planned inputs. It needs no Beam, so that any process can do it."""

from __future__ import annotations

from coltran.images.decoding import ImageRejected
from pipelines.shards import job as shard_job
from pipelines.sources.image_ref import ImageRef
from pipelines.sources.reading import read_images
from pipelines.truth.arguments import Options
from pipelines.truth.record import make_records
from pipelines.truth.summary import TruthSums


def make_shard(job: shard_job.ShardJob, options: Options, index: int) -> dict[str, int]:
    """Makes the shard `index` and returns its counts. It lists an unusable image with the reason, never drops it."""
    sums = TruthSums()
    with shard_job.write_shard(job, index) as writer:
        lines = shard_job.read_inputs(job, index)
        for line in lines:
            if "duplicate" in line:
                message = f"another image has the key '{line['key']}'; rename one of them"
                writer.reject(line["name"], "duplicate_key", message)
        refs = [ImageRef.from_json(line) for line in lines if "duplicate" not in line]
        for ref, data in read_images(refs):
            _add(writer, sums, ref, data, options)
        writer.statistics = sums.to_json()
    return writer.counts


def _add(
    writer: shard_job.ShardWriter, sums: TruthSums, ref: ImageRef, data: bytes | ImageRejected, options: Options
) -> None:
    try:
        made = make_records(ref, data, options)
    except ImageRejected as error:
        writer.reject(ref.name, error.reason, str(error))
        return
    for values in made.values:
        sums.add(values)
    writer.write(*made.encoded, **made.counts)
