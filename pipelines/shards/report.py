"""Says what happened to the inputs of one shard. A report stands in `_work` once the shard stands under its name."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import TypeVar

from coltran import storage
from coltran.errors import UserError
from coltran.records.folder import Shard
from pipelines.shards.job import ShardJob

_Number = TypeVar("_Number", int, float)
_DONE = "done-"


@dataclasses.dataclass(kw_only=True)
class ShardReport:
    """What happened to one shard's inputs.

    Attributes:
      shard: the shard's file.
      counts: `read`, `written`, `rejected` and what the job adds.
      rejects: one entry for each rejected input.
      statistics: what the job sums up over its records, as JSON.
      seconds: the time it took, by stage, for run.json; empty if the job has no stages.
      started, ended: Unix time in seconds.
    """

    shard: Shard
    counts: dict[str, int]
    rejects: list[dict[str, str]]
    statistics: dict[str, object]
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    started: float = 0.0
    ended: float = 0.0


def report_path(job: ShardJob, index: int) -> str:
    """Returns the path of a shard's report."""
    return job.work(f"{_DONE}{index:05d}.json")


def write_report(job: ShardJob, index: int, report: ShardReport) -> None:
    """Writes the report of a shard, which stands under its final name by now."""
    storage.write_bytes(report_path(job, index), json.dumps(dataclasses.asdict(report)).encode())


def read_report(job: ShardJob, index: int) -> ShardReport:
    """Reads the report of a finished shard. Raises UserError if there is none."""
    return _from_json(storage.read_bytes(report_path(job, index)))


def read_reports(job: ShardJob, indices: Iterable[int]) -> list[ShardReport]:
    """Reads the reports of some finished shards, many at a time."""
    return storage.map_parallel(lambda index: read_report(job, index), list(indices))


def finished_shards(job: ShardJob) -> set[int]:
    """Returns the shards that have a report."""
    names = (name for name, _ in storage.list_files(job.work("")))
    return {int(name[len(_DONE) :].removesuffix(".json")) for name in names if name.startswith(_DONE)}


def is_made(job: ShardJob, index: int) -> bool:
    """Tells whether a shard stands, as its report says. An engine may hand out a finished shard again."""
    if not storage.exists(report_path(job, index)):
        return job.is_completed() and storage.exists(job.shard_path(index))
    try:
        return storage.size(job.shard_path(index)) == read_report(job, index).shard.size
    except (UserError, OSError, ValueError):
        return False


def count_done(job: ShardJob) -> dict[str, int]:
    """Counts what is `read`, `written` and `rejected` so far in all shards of a local folder, for a progress bar."""
    done: dict[str, dict[str, int]] = {}
    for name, _ in storage.list_files(job.work("")):
        kind, _, index = name.partition("-")
        with contextlib.suppress(UserError, ValueError):  # somebody may replace or remove a file while we read it
            if kind == "progress":
                done.setdefault(index, json.loads(storage.read_bytes(job.work(name))))
            elif name.startswith(_DONE):
                done[index.removesuffix(".json")] = _from_json(storage.read_bytes(job.work(name))).counts
    return {"read": 0, "rejected": 0} | total(done.values())


def total(counts: Iterable[Mapping[str, _Number]]) -> dict[str, _Number]:
    """Adds up mappings by name."""
    summed: dict[str, _Number] = {}
    for part in counts:
        for name, number in part.items():
            summed[name] = summed[name] + number if name in summed else number
    return summed


def _from_json(data: bytes) -> ShardReport:
    fields = json.loads(data)
    return ShardReport(**fields | {"shard": Shard(**fields["shard"])})
