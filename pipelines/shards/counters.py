"""Counts what became of a shard's inputs in the engine's counters; `pipelines/beam/counters.py` names them."""

from __future__ import annotations

import collections

from pipelines.beam import counters
from pipelines.shards.report import ShardReport


def count_report(report: ShardReport, of: str = counters.IMAGES) -> None:
    """Adds the report of a shard that was just made to the counters of images or samples."""
    counters.count(report.counts, of)
    for reason, number in collections.Counter(line["reason"] for line in report.rejects).items():
        counters.rejected(reason, number)
    counters.shard_seconds(report.ended - report.started)
