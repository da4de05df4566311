"""Runs a shard job on a Beam engine, from the plan to COMPLETED. All jobs that write records share this code."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coltran import folder_lock as run_lock, storage
from coltran.records import folder as record_folder
from coltran.records.folder import Manifest
from pipelines.beam import engine, options as beam_options
from pipelines.shards import earlier as earlier_work, repair, submission
from pipelines.shards.earlier import Earlier
from pipelines.shards.finish import Summarize, finish
from pipelines.shards.inputs import ShardInputs, count_inputs
from pipelines.shards.job import ShardJob
from pipelines.shards.plan import Plan, begin_run, missing_shards, origin_of, write_plan
from pipelines.shards.report import count_done, finished_shards

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

_REMOTE_SECONDS = 5.0  # between two looks at shards that are made elsewhere


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """A job and its inputs, as a command plans them.

    Attributes:
      job: the job.
      inputs: each shard's inputs.
      passed_over: how many entries of the source are not inputs, by reason.
      facts: further facts for run.json.
    """

    job: ShardJob
    inputs: Sequence[ShardInputs]
    passed_over: Mapping[str, int] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def num_inputs(self) -> int:
        """How many inputs all shards have together."""
        return sum(map(len, self.inputs))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What a command wants done, before its inputs are listed.

    Attributes:
      folder: the folder to make, local or gs://.
      request: what the user asked for, by option, as JSON. If the folder was made, or planned, for the same request,
        nothing is listed.
      source: where the inputs come from, for people.
      plan: lists the inputs and plans the job. It gets the number of shards that an earlier run chose, or None.
      make_shard: makes the DoFn that gets a shard's number (with `group`, several) and calls `write_shard`.
      what: word before the progress bar.
      max_reject_fraction: share of rejected inputs above which the job fails.
      summarize: makes further files; see `finish`.
      group: makes lists of shards from the missing ones and the number of each shard's inputs; `make_shard` gets each
        list as a whole.
      hints: resource hints for the step that makes shards.
      repair: whether to make the damaged shards of a finished folder again.
    """

    folder: str
    request: Mapping[str, Any]
    source: str
    plan: Callable[[int | None], Planned]
    make_shard: Callable[[ShardJob], beam.DoFn]
    what: str
    max_reject_fraction: float = 0.0
    summarize: Summarize | None = None
    group: Callable[[list[int], Sequence[int]], Sequence[object]] | None = None
    hints: Mapping[str, str] = dataclasses.field(default_factory=dict)
    repair: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardRun:
    """The result of a run of a shard job.

    Attributes:
      manifest: the folder's manifest.
      made: how many inputs this run itself read; it does not read inputs of finished shards again.
      seconds: how long that took.
      shards_made: the shards that this run made.
      finished_before: whether there was nothing to do.
      repaired: whether damaged shards of a finished folder were made again.
    """

    manifest: Manifest
    made: int = 0
    seconds: float = 0.0
    shards_made: tuple[int, ...] = ()
    finished_before: bool = False
    repaired: bool = False

    @property
    def rate(self) -> float | None:
        """Returns inputs per second, or None if nothing was left to do."""
        return self.made / self.seconds if self.made else None


def run_shards(work: Work, engine_options: PipelineOptions | None) -> ShardRun | None:
    """Makes the missing shards and finishes the folder. Does nothing if the folder is finished.

    Args:
      work: what to do.
      engine_options: Beam's, or None for its defaults; see `beam.options.asked`.
    Returns:
      What was done, or None if the job was only submitted, or written as a template. It then ends without this driver.
    Raises:
      UserError: the folder belongs to another job, a worker found a user's mistake, or there are too many rejects.
    """
    submission.check_earlier(work.folder, engine_options)
    request = json.loads(json.dumps(work.request))
    found = earlier_work.look(work.folder)
    if found.manifest and found.request == request and not work.repair:
        return ShardRun(manifest=found.manifest, finished_before=True)
    planned = None
    if found.plan is None or found.request != request:
        planned = work.plan(found.num_shards)
        earlier_work.check_same(found, planned.job, planned.num_inputs)
        if found.manifest and not work.repair:
            return ShardRun(manifest=found.manifest, finished_before=True)
    with run_lock.held(storage.join(work.folder, run_lock.LOCK)):
        plan = found.plan or _write_plan(work, found, planned, request)
        if plan is None:
            return ShardRun(manifest=record_folder.open_folder(work.folder).manifest, finished_before=True)
        return _run(work, plan, engine_options)


def _write_plan(work: Work, found: Earlier, planned: Planned | None, request: Mapping[str, Any]) -> Plan | None:
    """Writes the plan of a folder that has none. Returns None if a finished folder needs no repair."""
    assert planned is not None
    plan = Plan(
        job=planned.job,
        request=request,
        origin=origin_of(work.source),
        num_inputs=planned.num_inputs,
        passed_over=planned.passed_over,
        facts=planned.facts,
    )
    if not found.manifest:
        write_plan(plan, planned.inputs)
        return plan
    damaged = repair.damaged_shards(work.folder, found.manifest)
    if not damaged:
        return None
    plan = dataclasses.replace(plan, repair=damaged)
    write_plan(plan, planned.inputs)
    repair.take_back(work.folder)
    return plan


def _run(work: Work, plan: Plan, engine_options: PipelineOptions | None) -> ShardRun | None:
    from pipelines.shards.steps import FinishFolder, add_steps

    job, missing, counts = plan.job, missing_shards(plan), count_inputs(plan.job)
    started = time.monotonic()
    begin_run(job, missing)
    if missing or beam_options.only_writes_template(engine_options):
        handed_out: Sequence[object] = work.group(missing, counts) if work.group else missing
        last = FinishFolder(job, work.max_reject_fraction, work.summarize)
        with _watched(job, engine_options, sum(counts), work.what):
            ended = engine.run_pipeline(
                lambda pipeline: add_steps(pipeline, work.make_shard(job), handed_out, last, work.hints),
                engine_options,
                submitted=lambda job_id: submission.keep(job.folder, job_id, engine_options),
            )
        if not ended:
            return None
    # Where the pipeline has done it already, this only reads the manifest.
    manifest = finish(job, max_reject_fraction=work.max_reject_fraction, summarize=work.summarize)
    return ShardRun(
        manifest=manifest,
        made=sum(counts[index] for index in missing),
        seconds=time.monotonic() - started,
        shards_made=tuple(missing),
        repaired=plan.repair is not None,
    )


def _watched(
    job: ShardJob, engine_options: PipelineOptions | None, total: int, what: str
) -> contextlib.AbstractContextManager[None]:
    """Shows how far the workers are: by image if the folder and the engine are here, else by shard."""
    if storage.is_gcs(job.folder) or not beam_options.is_local(engine_options):
        return engine.watched(
            lambda: (len(finished_shards(job)), ""), job.num_shards, what, "shards", every=_REMOTE_SECONDS
        )
    return engine.watched(lambda: _state(job), total, what, "images")


def _state(job: ShardJob) -> tuple[int, str]:
    counts = count_done(job)
    return counts["read"], f"{counts['rejected']} rejected" if counts["rejected"] else ""
