"""The steps of the pipeline: it hands out shards, makes them, waits for all, and finishes the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apache_beam as beam

from pipelines.shards import finish
from pipelines.shards.finish import Summarize
from pipelines.shards.job import ShardJob


class FinishFolder(beam.DoFn):
    """Finishes the folder, once the number of made shards is known. That number exists only after the last shard."""

    def __init__(self, job: ShardJob, max_reject_fraction: float, summarize: Summarize | None) -> None:
        self._job = job
        self._max_reject_fraction = max_reject_fraction
        self._summarize = summarize

    def process(self, _: int) -> None:
        finish.finish(self._job, max_reject_fraction=self._max_reject_fraction, summarize=self._summarize)


def add_steps(
    pipeline: beam.Pipeline,
    make_shard: beam.DoFn,
    work: Sequence[object],
    last: beam.DoFn,
    hints: Mapping[str, str] | None = None,
) -> None:
    """Adds all steps to a pipeline.

    Args:
      pipeline: an empty pipeline.
      make_shard: gets a shard, or a list of shards, and makes it.
      work: the shards, or lists of shards.
      hints: resource hints for the workers that run `make_shard`.
      last: finishes the folder; it gets one element after `make_shard` has ended for all of `work`.
    """
    _ = (
        pipeline
        | "Shards" >> beam.Create(list(work), reshuffle=False)
        | "Spread" >> beam.Reshuffle()
        | "Make" >> beam.ParDo(make_shard).with_resource_hints(**(hints or {}))
        | "Wait for all" >> beam.combiners.Count.Globally()
        | "Finish" >> beam.ParDo(last)
    )
