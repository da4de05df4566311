"""Makes a record folder in this process, without an engine: for small folders, and for machines that have no Beam."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coltran.records.folder import Manifest
from pipelines.shards.finish import finish
from pipelines.shards.inputs import ShardInputs
from pipelines.shards.job import ShardJob
from pipelines.shards.plan import Plan, begin_run, missing_shards, origin_of, read_plan, write_plan


def make_folder(
    job: ShardJob,
    inputs: Sequence[ShardInputs],
    make_shards: Callable[[list[int]], object],
    *,
    source: str = "this process",
    max_reject_fraction: float = 0.0,
) -> Manifest:
    """Plans a folder, makes its missing shards, and finishes it.

    Args:
      job: the job.
      inputs: each shard's inputs.
      make_shards: makes the shards with the given indices by `write_shard`.
      source: where the inputs come from, for people.
      max_reject_fraction: share of rejected inputs above which the job fails.
    Returns:
      The folder's manifest.
    """
    plan = read_plan(job.folder)
    if plan is None and not job.is_completed():
        plan = Plan(job=job, request={}, origin=origin_of(source), num_inputs=sum(map(len, inputs)))
        write_plan(plan, inputs)
    if plan is not None:
        missing = missing_shards(plan)
        begin_run(job, missing)
        make_shards(missing)
    return finish(job, max_reject_fraction=max_reject_fraction)
