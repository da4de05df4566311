"""Names the counters of all jobs, and counts in them.

    images/read, images/written, images/rejected    of coltran-preprocess; coltran-fid counts images/read alone
    samples/read, samples/written                   of coltran-sample
    records/read                                    of coltran-study design
    rejected/REASON                                 images that gave no record, by the reason in rejects.jsonl
    shards/written, shards/milliseconds             shards, and the distribution of the time that one took

A job adds counts of its own to these, such as images/grayscale.

An engine sums them over its workers and shows them on the job's page. A bundle that is made again counts again, so
they tell how a job gets on. What a folder holds stands in its manifest.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

IMAGES, SAMPLES, RECORDS = "images", "samples", "records"
REJECTED = "rejected"
SHARDS, WRITTEN, MILLISECONDS = "shards", "written", "milliseconds"


def count(counts: Mapping[str, int], of: str = IMAGES) -> None:
    """Adds `counts` to the counters of `of`.

    Args:
      counts: such as {"read": 3, "written": 2, "rejected": 1}, the counts of a shard's report.
      of: what is counted: IMAGES, SAMPLES or RECORDS.
    """
    for name, number in counts.items():
        _add(of, name, number)


def rejected(reason: str, number: int = 1) -> None:
    """Counts images that gave no record.

    Args:
      reason: one of the few words that rejects.jsonl has for it, never a text that differs from image to image,
        because every reason is a counter of its own.
      number: how many.
    """
    _add(REJECTED, reason, number)


def shard_seconds(seconds: float) -> None:
    """Counts one finished shard and the time it took. Engines keep whole numbers, so we give milliseconds."""
    _add(SHARDS, WRITTEN, 1)
    if (metrics := _metrics()) is not None:
        metrics.distribution(SHARDS, MILLISECONDS).update(round(1000 * seconds))


def _add(namespace: str, name: str, number: int) -> None:
    if number and (metrics := _metrics()) is not None:
        metrics.counter(namespace, name).inc(number)


def _metrics() -> Any:
    """Returns Beam's Metrics, or None outside Beam: a worker has Beam loaded, and no other process shall load it."""
    module = sys.modules.get("apache_beam.metrics.metric")
    return None if module is None else module.Metrics
