"""Writes down what a job is going to do, before any worker starts, and reads it again in a later run."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from coltran import cli, storage
from coltran.errors import UserError
from pipelines.shards.inputs import ShardInputs, write_inputs
from pipelines.shards.job import WORK, ShardJob
from pipelines.shards.report import finished_shards

_PLAN, _STARTED = "plan.json", "started-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a job is going to do.

    Attributes:
      job: the job.
      request: what the user asked for, by option. A later run with the same request takes the plan as it is, and does
        not list its inputs again.
      origin: where the folder comes from, for people: source, command line, date. No fingerprint holds it.
      num_inputs: how many inputs all shards have together.
      passed_over: how many entries of the source are not inputs, by reason.
      facts: further facts for run.json.
      repair: the damaged shards of a finished folder that are made again; None for a new folder.
    """

    job: ShardJob
    request: Mapping[str, Any]
    origin: Mapping[str, Any]
    num_inputs: int
    passed_over: Mapping[str, int] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    repair: tuple[int, ...] | None = None


def write_plan(plan: Plan, inputs: Sequence[ShardInputs]) -> None:
    """Writes the inputs of every shard, and then the plan."""
    write_inputs(plan.job, inputs)
    fields = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    storage.write_bytes(plan.job.work(_PLAN), json.dumps(fields | {"job": plan.job.to_json()}).encode())


def read_plan(folder: str) -> Plan | None:
    """Reads the plan of an unfinished folder. Returns None if there is none, or an earlier version wrote it."""
    path = storage.join(folder, WORK, _PLAN)
    if not storage.exists(path):
        return None
    try:
        fields = json.loads(storage.read_bytes(path))
        job = ShardJob.from_json(folder, fields.pop("job"))
        repair = fields.pop("repair")
        return Plan(**fields, job=job, repair=None if repair is None else tuple(repair))
    except (KeyError, TypeError, ValueError):
        return None


def missing_shards(plan: Plan) -> list[int]:
    """Returns the shards that are still to be made."""
    storage.remove_temporaries(plan.job.folder)
    storage.remove_temporaries(plan.job.work(""))
    done = finished_shards(plan.job)
    wanted = range(plan.job.num_shards) if plan.repair is None else plan.repair
    return [index for index in wanted if index not in done]


def origin_of(source: str) -> dict[str, str]:
    """Returns what people may want to know about where a folder comes from; see `Plan`."""
    return {"source": source, "command": cli.command_line(), "planned": now()}


def now() -> str:
    """Returns the date and time, as people write it in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a job. `started` is a Unix time in seconds, `missing` the shards that it set out to make."""

    started: float
    missing: tuple[int, ...]


def begin_run(job: ShardJob, missing: Sequence[int]) -> None:
    """Writes down that a run begins now, so that run.json can add up the runs."""
    number = len(read_runs(job)) + 1
    run = Run(started=time.time(), missing=tuple(missing))
    storage.write_bytes(job.work(f"{_STARTED}{number:04d}.json"), json.dumps(dataclasses.asdict(run)).encode())


def read_runs(job: ShardJob) -> list[Run]:
    """Reads when the runs began, in their order."""
    names = sorted(name for name, _ in storage.list_files(job.work("")) if name.startswith(_STARTED))
    runs = []
    for name in names:
        try:
            fields = json.loads(storage.read_bytes(job.work(name)))
        except UserError:  # another worker that finishes the folder has just removed it
            continue
        runs.append(Run(started=fields["started"], missing=tuple(fields["missing"])))
    return runs
