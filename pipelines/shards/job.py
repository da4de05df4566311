"""Defines a job that writes a record folder shard by shard, loses nothing, and goes on where a killed run stopped.

    _work/plan.json            the fingerprint of the job that this folder belongs to
    _work/inputs-00003.jsonl   what shard 3 is made from, one line per input
    _work/progress-00003       how many of them are done, for the progress bar
    _work/done-00003.json      written after shard 3 stands under its final name: counts, checksum, rejects

The driver plans, and Beam workers make the shards. At the end the driver writes manifest, rejects, run.json, then
COMPLETED. A shard depends only on its inputs, so a rerun gives the same bytes, whichever worker makes the shard.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TypeVar

import google_crc32c

from coltran import storage
from coltran.errors import UserError
from coltran.folder_lock import LOCK
from coltran.records import folder as record_folder, framing, schema as records
from coltran.records.folder import COMPLETED, MANIFEST, REJECTS, RUN, Manifest, Shard
from pipelines.shards.inputs import ShardInputs, from_lines, to_lines
from pipelines.shards.rejects import check_share

WORK = "_work"
_PROGRESS_SECONDS = 0.5
_WRITE_OUT = 8 << 20  # bytes of a shard after which the disk starts to write
_Number = TypeVar("_Number", int, float)
_VERSIONED = ("apache-beam", "jax", "numpy", "pillow")


def fingerprint(*parts: object) -> str:
    """Hashes (sha256) everything that changes a folder's bytes, as JSON, with the records' schema version."""
    text = json.dumps([records.SCHEMA_VERSION, *parts], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest_listing(rows: Iterable[Sequence[object]]) -> str:
    """Hashes (sha256) a listing that is too long for one text in memory."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardJob:
    """The description of the folder to make. It can be pickled, so every worker gets all of it.

    Attributes:
      folder: the output, local or gs://.
      schema, split, sizes, features, options, fingerprint: as in `Manifest`.
      num_shards: how many shards.
    """

    folder: str
    schema: str
    split: str
    sizes: records.Sizes
    features: tuple[str, ...]
    options: Mapping[str, object]
    fingerprint: str
    num_shards: int

    def work(self, name: str) -> str:
        """Returns the path of a file of the unfinished work."""
        return storage.join(self.folder, WORK, name)

    def shard_path(self, index: int) -> str:
        """Returns the path of a shard, which may not exist yet."""
        return storage.join(self.folder, record_folder.shard_name(self.split, index, self.num_shards))


@dataclasses.dataclass(kw_only=True)
class ShardReport:
    """What happened to one shard's inputs.

    Attributes:
      shard: the shard's file.
      counts: `read`, `written`, `rejected` and what the job adds.
      rejects: one entry for each rejected input.
      statistics: what the job sums up over its records, as JSON.
      seconds: the time it took, by stage, for run.json; empty if the job has no stages.
    """

    shard: Shard
    counts: dict[str, int]
    rejects: list[dict[str, str]]
    statistics: dict[str, object]
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


def is_finished(job: ShardJob) -> bool:
    """Tells whether the folder holds this job's finished output. Raises UserError if it holds another job's output."""
    if storage.exists(storage.join(job.folder, COMPLETED)):
        path = storage.join(job.folder, MANIFEST)
        _check_same(job, Manifest.from_json(storage.read_bytes(path), path).fingerprint, "holds finished records")
        return True
    if storage.exists(job.work("plan.json")):
        plan = json.loads(storage.read_bytes(job.work("plan.json")))
        _check_same(job, plan["fingerprint"], "holds the unfinished work")
    elif any(not name.startswith((f"{WORK}/", LOCK)) for name in _files_in(job.folder)):  # these may be half a plan
        raise UserError(f"{job.folder}: is not empty and was not made by this job; give --out a new folder")
    return False


def _files_in(folder: str) -> list[str]:
    return [name for name, _ in storage.list_files(folder)] if storage.is_folder(folder) else []


def _check_same(job: ShardJob, other: str, what: str) -> None:
    if other != job.fingerprint:
        raise UserError(
            f"{job.folder}: {what} of other inputs or options (fingerprint {other[:8]}, "
            f"this run's is {job.fingerprint[:8]}); give --out a new folder, or delete this one"
        )


def plan(job: ShardJob, inputs: Sequence[ShardInputs]) -> list[int]:
    """Writes each shard's inputs to a file and returns the shards that are still missing."""
    if not storage.exists(job.work("plan.json")):
        for index, lines in enumerate(inputs):
            storage.write_bytes(job.work(f"inputs-{index:05d}.jsonl"), to_lines(lines))
        storage.write_bytes(job.work("plan.json"), json.dumps({"fingerprint": job.fingerprint}).encode())
    storage.remove_temporaries(job.folder)
    storage.remove_temporaries(job.work(""))
    done = {name for name, _ in storage.list_files(job.work(""))}
    return [index for index in range(job.num_shards) if f"done-{index:05d}.json" not in done]


def read_inputs(job: ShardJob, index: int) -> list[dict[str, Any]]:
    """Reads the inputs that `plan` wrote for a shard."""
    return from_lines(storage.read_bytes(job.work(f"inputs-{index:05d}.jsonl")))


class ShardWriter:
    """Collects one shard's records and rejects. `write_shard` makes it."""

    def __init__(self, job: ShardJob, index: int, file: BinaryIO) -> None:
        self._job, self._index, self._file = job, index, file
        self._crc = google_crc32c.Checksum()
        self._size = 0
        self._records = 0
        self._reported = 0.0
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
            name=record_folder.shard_name(self._job.split, self._index, self._job.num_shards),
            records=self._records,
            size=self._size,
            crc32c=self._crc.hexdigest().decode(),
        )
        return ShardReport(
            shard=shard, counts=self.counts, rejects=self.rejects, statistics=self.statistics, seconds=self.seconds
        )


@contextlib.contextmanager
def write_shard(job: ShardJob, index: int) -> Iterator[ShardWriter]:
    """Yields a writer for shard `index`. At the block's end, the shard and then its report get their final names."""
    with storage.open_write(job.shard_path(index)) as file:
        writer = ShardWriter(job, index, file)
        yield writer
    report = json.dumps(dataclasses.asdict(writer.report())).encode()
    storage.write_bytes(job.work(f"done-{index:05d}.json"), report)


def count_done(job: ShardJob) -> dict[str, int]:
    """Counts what is `read`, `written` and `rejected` so far in all shards of a local folder, for a progress bar."""
    done: dict[str, dict[str, int]] = {}
    for name, _ in storage.list_files(job.work("")):
        kind, _, index = name.partition("-")
        with contextlib.suppress(UserError, ValueError):  # somebody may replace or remove a file while we read it
            if kind == "progress":
                done.setdefault(index, json.loads(storage.read_bytes(job.work(name))))
            elif kind == "done":
                done[index.removesuffix(".json")] = _read_report(job, name).counts
    return {"read": 0, "rejected": 0} | _total(done.values())


def stage_seconds(job: ShardJob, indices: Iterable[int]) -> dict[str, float]:
    """Sums the seconds that some finished shards took, by stage and over all workers."""
    return _total(_read_report(job, f"done-{index:05d}.json").seconds for index in indices)


def finish(
    job: ShardJob,
    *,
    max_reject_fraction: float,
    run: Mapping[str, object],
    summarize: Callable[[ShardJob, Sequence[ShardReport]], Iterable[tuple[str, bytes]]] | None = None,
) -> Manifest:
    """Checks that nothing was lost. Writes manifest, rejects and run.json, and COMPLETED last.

    Args:
      job: the job, whose shards are all made.
      max_reject_fraction: share of rejected inputs above which the job fails.
      run: timings and rates for run.json, which comparisons of folders ignore.
      summarize: makes further files, (name, bytes), from the finished shards and their reports.
    Raises:
      UserError: there are too many rejects. The folder stays unfinished, and rejects.jsonl names them.
    """
    reports = [_read_report(job, f"done-{index:05d}.json") for index in range(job.num_shards)]
    _check_shards(job, reports)
    counts = _total(report.counts for report in reports)
    rejects = sorted((line for report in reports for line in report.rejects), key=lambda line: line["source"])
    storage.write_bytes(storage.join(job.folder, REJECTS), to_lines(rejects))
    check_share(job.folder, counts, rejects, max_reject_fraction)
    manifest = Manifest(
        schema=job.schema,
        schema_version=records.SCHEMA_VERSION,
        split=job.split,
        sizes=job.sizes,
        features=job.features,
        options=dict(job.options),
        fingerprint=job.fingerprint,
        shards=tuple(report.shard for report in reports),
        counts=counts,
        rejected_by_reason=_total({line["reason"]: 1} for line in rejects),
        versions=_versions(),
    )
    for name, data in summarize(job, reports) if summarize else ():
        storage.write_bytes(storage.join(job.folder, name), data)
    storage.write_bytes(storage.join(job.folder, RUN), json.dumps(run, indent=1).encode() + b"\n")
    storage.write_bytes(storage.join(job.folder, MANIFEST), manifest.to_json())
    storage.write_bytes(storage.join(job.folder, COMPLETED), b"")
    storage.remove_folder(storage.join(job.folder, WORK))
    return manifest


def _versions() -> dict[str, str]:
    """Lists the versions of the libraries that change the bytes. A worker image may lack some of them."""
    versions = {}
    for name in _VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _check_shards(job: ShardJob, reports: Sequence[ShardReport]) -> None:
    sizes = dict(storage.list_files(job.folder))
    for index, report in enumerate(reports):
        counts, expected = report.counts, len(read_inputs(job, index))
        if counts["read"] != expected or counts["read"] != counts["written"] + counts["rejected"]:
            raise RuntimeError(f"{report.shard.name}: {expected} inputs, but the shard accounts for {counts}")
        if sizes.get(report.shard.name) != report.shard.size:
            raise UserError(
                f"{report.shard.name}: expected {report.shard.size} bytes, found {sizes.get(report.shard.name)}; "
                f"delete {job.folder} and run again"
            )


def _read_report(job: ShardJob, name: str) -> ShardReport:
    fields = json.loads(storage.read_bytes(job.work(name)))
    return ShardReport(**fields | {"shard": Shard(**fields["shard"])})


def _total(counts: Iterable[Mapping[str, _Number]]) -> dict[str, _Number]:
    total: dict[str, _Number] = {}
    for part in counts:
        for name, number in part.items():
            total[name] = total[name] + number if name in total else number
    return total
