"""Remembers the job that an engine runs for a folder, so that a later command does not start a second one.

_work/job.json    the engine's name of the job, and where to ask for it
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from coltran import storage
from coltran.errors import UserError
from pipelines.beam import options as beam_options, submitted
from pipelines.shards.job import WORK
from pipelines.shards.plan import now

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


def keep(folder: str, job_id: str, options: PipelineOptions | None) -> None:
    """Writes down that an engine has accepted a job that makes the folder."""
    fields = {"id": job_id, "place": beam_options.job_place(options), "submitted": now()}
    storage.write_bytes(_path(folder), json.dumps(fields, indent=1).encode() + b"\n")
    if beam_options.no_wait(options):
        print(f"job {job_id} was submitted and finishes {folder} alone; the same command with --wait waits for it")


def check_earlier(folder: str, options: PipelineOptions | None) -> None:
    """Looks whether a job that an earlier command submitted still makes the folder. With --wait, it waits for its end.

    Raises:
      UserError: the job still runs, or nobody answers who would know.
    """
    found = _read(folder)
    if found is None:
        return
    job_id, place = found["id"], found["place"]
    where = f"{place['runner']} {place.get('job_endpoint') or place.get('project') or ''}".strip()
    said = f"{folder}: job {job_id} of {where}, submitted {found['submitted']},"
    state = submitted.state(job_id, place)
    if state == "running" and beam_options.joins(options):
        state = submitted.wait(job_id, place)
        if state == "failed":
            storage.remove(_path(folder))
            raise UserError(f"{said} failed; the same command goes on with what is missing")
    if state == "running":
        raise UserError(f"{said} still makes this folder; add --wait to wait for it, or cancel it and run again")
    if state == "unreachable":
        raise UserError(
            f"{said} may still make this folder, and nobody answers there; if you know that it has ended, delete "
            f"{_path(folder)} and run again"
        )
    storage.remove(_path(folder))


def _path(folder: str) -> str:
    return storage.join(folder, WORK, "job.json")


def _read(folder: str) -> dict[str, Any] | None:
    if not storage.exists(_path(folder)):
        return None
    try:
        return json.loads(storage.read_bytes(_path(folder)))
    except (UserError, ValueError):  # the job's last step has just removed it
        return None
