"""Finishes a folder: checks that nothing was lost, writes manifest, rejects and run.json, and COMPLETED last.

This is the last step of the pipeline, so an engine may run it twice, or two workers may run it at once. They write the
same bytes, and whoever comes after COMPLETED changes nothing. The driver takes the same step where no shard is missing.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from coltran import storage
from coltran.errors import UserError
from coltran.records import folder as record_folder, schema as records
from coltran.records.folder import COMPLETED, MANIFEST, REJECTS, RUN, Manifest
from pipelines.shards.inputs import count_inputs, to_lines
from pipelines.shards.job import ShardJob, clear
from pipelines.shards.plan import Plan, Run, read_plan, read_runs
from pipelines.shards.rejects import check_share
from pipelines.shards.report import ShardReport, read_reports, total

Summarize = Callable[[ShardJob, Sequence[ShardReport], Manifest], Iterable[tuple[str, bytes]]]
_VERSIONED = ("apache-beam", "jax", "numpy", "pillow")


def finish(job: ShardJob, *, max_reject_fraction: float, summarize: Summarize | None = None) -> Manifest:
    """Writes all files of a folder whose shards are made, and COMPLETED last. A finished folder stays as it is.

    Args:
      job: the job.
      max_reject_fraction: share of rejected inputs above which the job fails.
      summarize: makes further files, (name, bytes), from the finished shards, their reports and the manifest.
    Returns:
      The manifest.
    Raises:
      UserError: there are too many rejects, and the folder stays unfinished; rejects.jsonl names them. Or a shard is
        missing or damaged.
    """
    try:
        return _finish(job, max_reject_fraction, summarize)
    except UserError:
        if job.is_completed():  # another worker has finished the folder and removed what this one was reading
            return _finished(job)
        raise


def _finish(job: ShardJob, max_reject_fraction: float, summarize: Summarize | None) -> Manifest:
    if job.is_completed():
        return _finished(job)
    plan = read_plan(job.folder)
    if plan is None:
        raise UserError(f"{job.work('plan.json')}: is missing or damaged; run the same command again")
    if plan.repair is not None:
        return _finish_repair(plan, plan.repair)
    reports = read_reports(job, range(job.num_shards))
    _check_shards(job, reports)
    counts = total(report.counts for report in reports)
    rejects = sorted((line for report in reports for line in report.rejects), key=lambda line: line["source"])
    storage.write_bytes(storage.join(job.folder, REJECTS), to_lines(rejects))
    check_share(job.folder, counts, rejects, max_reject_fraction)
    manifest = _manifest(plan, reports, counts, rejects)
    for name, data in summarize(job, reports, manifest) if summarize else ():
        storage.write_bytes(storage.join(job.folder, name), data)
    figures = {"origin": plan.origin, "request": plan.request, **_figures(read_runs(job), reports), **plan.facts}
    storage.write_bytes(storage.join(job.folder, RUN), json.dumps(figures, indent=1).encode() + b"\n")
    storage.write_bytes(storage.join(job.folder, MANIFEST), manifest.to_json())
    return _complete(job, manifest)


def _complete(job: ShardJob, manifest: Manifest) -> Manifest:
    storage.write_bytes(storage.join(job.folder, COMPLETED), b"")
    clear(job.folder)
    return manifest


def _finished(job: ShardJob) -> Manifest:
    clear(job.folder)
    return record_folder.open_folder(job.folder).manifest


def _manifest(
    plan: Plan, reports: Sequence[ShardReport], counts: dict[str, int], rejects: Sequence[Mapping[str, str]]
) -> Manifest:
    job = plan.job
    return Manifest(
        schema=job.schema,
        schema_version=records.SCHEMA_VERSION,
        split=job.split,
        sizes=job.sizes,
        features=job.features,
        options=dict(job.options),
        fingerprint=job.fingerprint,
        shards=tuple(report.shard for report in reports),
        counts=counts,
        rejected_by_reason=total({line["reason"]: 1} for line in rejects),
        passed_over=dict(plan.passed_over),
        versions=_versions(),
    )


def _finish_repair(plan: Plan, repaired: Sequence[int]) -> Manifest:
    """Checks that the shards that were made again have the bytes that the manifest names, and completes the folder."""
    job = plan.job
    path = storage.join(job.folder, MANIFEST)
    manifest = Manifest.from_json(storage.read_bytes(path), path)
    for index, report in zip(repaired, read_reports(job, repaired), strict=True):
        if report.shard != manifest.shards[index]:
            raise UserError(
                f"{report.shard.name}: was made again with crc32c {report.shard.crc32c}, but the manifest names "
                f"{manifest.shards[index].crc32c}: the inputs or the libraries have changed since "
                f"({_changed_versions(manifest)}); make the folder anew under another name"
            )
    return _complete(job, manifest)


def _changed_versions(manifest: Manifest) -> str:
    now = _versions()
    changed = [f"{name} {was}, now {now.get(name)}" for name, was in manifest.versions.items() if now.get(name) != was]
    return ", ".join(changed) or "the versions are the same"


def _figures(runs: Sequence[Run], reports: Sequence[ShardReport]) -> dict[str, Any]:
    """Makes the timings and rates of all runs together for run.json."""
    told: list[dict[str, Any]] = []
    for run, later in zip(runs, [*runs[1:], None], strict=True):
        made = sorted(set(run.missing) - set(later.missing if later else ()))
        ended = max((reports[index].ended for index in made), default=run.started)
        told.append(
            {
                "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run.started)),
                "seconds": max(ended - run.started, 0.0),
                "images_made": sum(reports[index].counts["read"] for index in made),
                "shards_made": made,
            }
        )
    seconds = sum(run["seconds"] for run in told)
    images = sum(run["images_made"] for run in told)
    stages = total(report.seconds for report in reports)
    figures: dict[str, Any] = {"runs": told, "seconds": seconds, "images_made": images}
    figures["shards_made"] = told[-1]["shards_made"] if told else []  # of the last run
    figures["images_per_second"] = images / seconds if seconds else None
    return figures | ({"seconds_by_stage": stages} if stages else {})


def _versions() -> dict[str, str]:
    """Lists the versions of the libraries that change the bytes. A worker image may lack some of them."""
    versions = {}
    for name in _VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _check_shards(job: ShardJob, reports: Sequence[ShardReport]) -> None:
    sizes = dict(storage.list_files(job.folder))
    for expected, report in zip(count_inputs(job), reports, strict=True):
        counts = report.counts
        if counts["read"] != expected or counts["read"] != counts["written"] + counts["rejected"]:
            raise RuntimeError(f"{report.shard.name}: {expected} inputs, but the shard accounts for {counts}")
        if sizes.get(report.shard.name) != report.shard.size:
            raise UserError(
                f"{report.shard.name}: expected {report.shard.size} bytes, found {sizes.get(report.shard.name)}; "
                f"delete {job.folder} and run again"
            )
