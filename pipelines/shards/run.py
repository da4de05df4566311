"""Runs a shard job on a Beam engine, from the plan to COMPLETED. All jobs that write records share this code."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from coltran import folder_lock as run_lock, storage
from coltran.records import folder as record_folder
from coltran.records.folder import Manifest
from pipelines.beam import engine, options as beam_options
from pipelines.shards import job as shard_job
from pipelines.shards.inputs import ShardInputs
from pipelines.shards.job import ShardJob, ShardReport

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

Summarize = Callable[[ShardJob, Sequence[ShardReport]], Iterable[tuple[str, bytes]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardRun:
    """The result of a run of a shard job.

    Attributes:
      manifest: the folder's manifest.
      made: how many inputs this run itself read; it does not read inputs of finished shards again.
      seconds: how long that took.
      shards_made: the shards that this run made.
    """

    manifest: Manifest
    made: int
    seconds: float
    shards_made: tuple[int, ...] = ()

    @property
    def rate(self) -> float | None:
        """Returns inputs per second, or None if nothing was left to do."""
        return self.made / self.seconds if self.made else None


def run_shards(
    job: ShardJob,
    inputs: Callable[[], Sequence[ShardInputs]],
    make_shard: beam.DoFn,
    engine_options: PipelineOptions,
    *,
    what: str,
    max_reject_fraction: float = 0.0,
    facts: Mapping[str, object] | None = None,
    summarize: Summarize | None = None,
    group: Callable[[list[int], Sequence[ShardInputs]], Sequence[object]] | None = None,
) -> ShardRun:
    """Makes the missing shards and finishes the folder. Does nothing if the folder is finished.

    Args:
      job: the folder to make.
      inputs: returns each shard's inputs; called only if something is left to do.
      make_shard: DoFn that gets a shard's number (with `group`, several) and calls `shard_job.write_shard`.
      engine_options: the options from `beam_options`.
      what: word before the progress bar.
      max_reject_fraction, summarize: as in `shard_job.finish`.
      facts: further facts for run.json, beside the timings.
      group: makes lists of shards from the missing ones and all inputs; `make_shard` gets each list as a whole.
    Raises:
      UserError: the folder belongs to another job, a worker found a user's mistake, or there are too many rejects.
    """
    if shard_job.is_finished(job):
        return ShardRun(manifest=record_folder.open_folder(job.folder).manifest, made=0, seconds=0.0)
    with run_lock.held(storage.join(job.folder, run_lock.LOCK)):
        planned = inputs()
        missing = shard_job.plan(job, planned)
        work: Sequence[object] = group(missing, planned) if group else missing
        started = time.monotonic()
        if missing:
            with _watched(job, engine_options, sum(map(len, planned)), what):
                engine.run_pipeline(lambda pipeline: add_steps(pipeline, make_shard, work), engine_options)
        seconds = time.monotonic() - started
        made = sum(len(planned[index]) for index in missing)
        manifest = shard_job.finish(
            job,
            max_reject_fraction=max_reject_fraction,
            run={**_figures(job, missing, made, seconds), **(facts or {})},
            summarize=summarize,
        )
    return ShardRun(manifest=manifest, made=made, seconds=seconds, shards_made=tuple(missing))


def _figures(job: ShardJob, missing: list[int], made: int, seconds: float) -> dict[str, object]:
    """Makes the timings and rates for run.json."""
    rate = made / seconds if made else None
    stages = shard_job.stage_seconds(job, missing)
    figures: dict[str, object] = {"seconds": seconds, "images_made": made, "images_per_second": rate}
    return figures | ({"seconds_by_stage": stages} if stages else {}) | {"shards_made": missing}


def add_steps(pipeline: beam.Pipeline, make_shard: beam.DoFn, work: Sequence[object]) -> None:
    """Adds the steps that hand shards, or lists of shards, to the workers."""
    import apache_beam as beam

    _ = (
        pipeline
        | "Shards" >> beam.Create(list(work), reshuffle=False)
        | "Spread" >> beam.Reshuffle()
        | "Make" >> beam.ParDo(make_shard)
    )


def _watched(
    job: ShardJob, engine_options: PipelineOptions, total: int, what: str
) -> contextlib.AbstractContextManager[None]:
    """Shows a progress bar if it can see the workers' files, that is, for a local folder and a local engine."""
    if storage.is_gcs(job.folder) or not beam_options.is_local(engine_options):
        return contextlib.nullcontext()
    return engine.watched(lambda: _state(job), total, what, "images")


def _state(job: ShardJob) -> tuple[int, str]:
    counts = shard_job.count_done(job)
    return counts["read"], f"{counts['rejected']} rejected" if counts["rejected"] else ""
