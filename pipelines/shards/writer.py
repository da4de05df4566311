"""Writes one shard: its records, then its report."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from coltran import storage
from coltran.errors import UserError
from coltran.records import framing
from coltran.records.folder import Shard
from pipelines.shards import attempts
from pipelines.shards.attempts import Attempt
from pipelines.shards.job import ShardJob
from pipelines.shards.report import ShardReport, write_report

_PROGRESS_SECONDS = 0.5
_WRITE_OUT = 8 << 20  # bytes of a shard after which the disk starts to write


class ShardWriter:
    """Collects one shard's records and rejects. `write_shard` makes it.

    Attributes:
      attempt: tells which inputs workers died on.
      counts, rejects, statistics, seconds: as in `ShardReport`.
    """

    def __init__(self, job: ShardJob, index: int, file: BinaryIO, attempt: Attempt) -> None:
        self._job, self._index, self._file = job, index, file
        self._crc = google_crc32c.Checksum()
        self._size = 0
        self._records = 0
        self._reported = 0.0
        self._started = time.time()
        self.attempt = attempt
        self.counts = {"read": 0, "written": 0, "rejected": 0}
        self.rejects: list[dict[str, str]] = []
        self.statistics: dict[str, object] = {}
        self.seconds: dict[str, float] = {}

    def write(self, *records_of_input: bytes, **counts: int) -> None:
        """Adds the records of one input to the shard, and `counts` to its report."""
        for data in records_of_input:
            framed = framing.frame(data)
            self._file.write(framed)
            self._crc.update(framed)
            self._size += len(framed)
            if self._size // _WRITE_OUT > (self._size - len(framed)) // _WRITE_OUT:
                storage.start_writing_out(self._file)
            self._records += 1
        self._count(written=1, **counts)

    def reject(self, source: str, reason: str, message: str) -> None:
        """Lists an input that does not become a record."""
        self.rejects.append({"source": source, "reason": reason, "message": message})
        self._count(rejected=1)

    def _count(self, **counts: int) -> None:
        for name, number in {"read": 1, **counts}.items():
            self.counts[name] = self.counts.get(name, 0) + number
        if not storage.is_gcs(self._job.folder) and time.monotonic() - self._reported > _PROGRESS_SECONDS:
            self._reported = time.monotonic()
            progress = json.dumps(self.counts).encode()
            storage.write_bytes(self._job.work(f"progress-{self._index:05d}"), progress, durable=False)

    def report(self) -> ShardReport:
        """Reports what happened to the inputs so far."""
        shard = Shard(
            name=self._job.shard_name(self._index),
            records=self._records,
            size=self._size,
            crc32c=self._crc.hexdigest().decode(),
        )
        return ShardReport(
            shard=shard,
            counts=self.counts,
            rejects=self.rejects,
            statistics=self.statistics,
            seconds=self.seconds,
            started=self._started,
            ended=time.time(),
        )


@contextlib.contextmanager
def write_shard(job: ShardJob, index: int) -> Iterator[ShardWriter]:
    """Yields a writer for shard `index`. At the block's end, the shard and then its report get their final names.

    A late duplicate may end after the folder is finished. It writes the same bytes, and leaves no work behind.
    """
    attempt = attempts.begin(job, index)
    try:
        with storage.open_write(job.shard_path(index)) as file:
            writer = ShardWriter(job, index, file, attempt)
            yield writer
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit):
        attempt.end()  # no input did this
        raise
    except BaseException:
        attempt.give_way()
        raise
    write_report(job, index, writer.report())
    attempt.end()
    if job.is_completed():
        job.remove_work()
