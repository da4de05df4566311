"""Makes one shard of truth records from its planned inputs. It needs no Beam, so that any process can do it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coltran.images.decoding import ImageRejected
from pipelines.shards import attempts
from pipelines.shards.inputs import read_inputs
from pipelines.shards.job import ShardJob
from pipelines.shards.writer import ShardWriter, write_shard
from pipelines.sources.image_ref import ImageRef
from pipelines.sources.reading import read_images
from pipelines.truth.arguments import Options
from pipelines.truth.record import make_records
from pipelines.truth.summary import TruthSums


def make_shard(job: ShardJob, options: Options, index: int) -> ShardWriter:
    """Makes the shard `index` and returns its writer, which has counts and rejects.

    It lists an unusable image with the reason, and never drops it.
    """
    sums = TruthSums()
    with write_shard(job, index) as writer:
        lines = read_inputs(job, index)
        for line in lines:
            if "duplicate" in line:
                message = f"another image has the key '{line['key']}'; rename one of them"
                writer.reject(line["name"], "duplicate_key", message)
        refs = [ImageRef.from_json(line) for line in lines if "duplicate" not in line]
        for ref, data in _read(writer, refs):
            _add(writer, sums, ref, data, options)
        writer.statistics = sums.to_json()
    return writer


def _read(writer: ShardWriter, refs: Sequence[ImageRef]) -> Iterator[tuple[ImageRef, bytes | ImageRejected]]:
    """Reads the images. If workers died before in this shard, it reads one at a time, and leaves out what killed them.

    The order is that of any other attempt.
    """
    if not writer.attempt.careful:
        yield from read_images(refs)
        return
    for ref in refs:
        if writer.attempt.is_poisoned(ref.name):
            message = "workers died on this image again and again; it may be made to harm the decoder"
            writer.reject(ref.name, attempts.REASON, message)
        else:
            yield from read_images([ref])


def _add(writer: ShardWriter, sums: TruthSums, ref: ImageRef, data: bytes | ImageRejected, options: Options) -> None:
    try:
        made = make_records(ref, data, options)
    except ImageRejected as error:
        writer.reject(ref.name, error.reason, str(error))
        return
    for values in made.values:
        sums.add(values)
    writer.write(*made.encoded, **made.counts)
