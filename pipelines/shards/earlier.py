"""Looks at what a folder holds before a job begins, and tells people how it differs from what they asked for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from coltran import storage
from coltran.errors import UserError
from coltran.folder_lock import LOCK
from coltran.records.folder import COMPLETED, MANIFEST, RUN, Manifest
from pipelines.shards.job import WORK, ShardJob
from pipelines.shards.plan import Plan, read_plan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Earlier:
    """What an earlier run left in a folder. At most one of `manifest` and `plan` is there.

    Attributes:
      manifest: of a finished folder.
      run: run.json of a finished folder; empty if it is gone.
      plan: of an unfinished folder. None also if an earlier version of this program planned it.
    """

    manifest: Manifest | None = None
    run: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    plan: Plan | None = None

    @property
    def request(self) -> Mapping[str, Any] | None:
        """What the user asked for then; None if that is not known."""
        return self.plan.request if self.plan else self.run.get("request")

    @property
    def num_shards(self) -> int | None:
        """How many shards the folder has, or is to have."""
        if self.plan:
            return self.plan.job.num_shards
        return len(self.manifest.shards) if self.manifest else None


def look(folder: str) -> Earlier:
    """Reads what a folder holds, by its few files of fixed names. It lists the folder only if it holds none of them.

    Raises:
      UserError: the folder holds something that is not a job's.
    """
    if storage.exists(storage.join(folder, COMPLETED)):
        path = storage.join(folder, MANIFEST)
        return Earlier(manifest=Manifest.from_json(storage.read_bytes(path), path), run=read_run(folder))
    plan = read_plan(folder)
    if plan is None and not storage.exists(storage.join(folder, WORK, "plan.json")):
        names = (name for name, _ in storage.list_files(folder)) if storage.is_folder(folder) else iter(())
        if any(not name.startswith((f"{WORK}/", LOCK)) for name in names):  # these may be half a plan
            raise UserError(f"{folder}: is not empty and was not made by this job; give --out a new folder")
    return Earlier(plan=plan)


def read_run(folder: str) -> dict[str, Any]:
    """Reads run.json of a finished folder. Returns an empty one if it is gone or damaged, because it is only told."""
    try:
        found = json.loads(storage.read_bytes(storage.join(folder, RUN)))
    except (UserError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def check_same(earlier: Earlier, job: ShardJob, num_inputs: int) -> None:
    """Raises a UserError that says what differs if the folder was made, or planned, from other inputs or options."""
    options: Mapping[str, Any]
    if earlier.manifest:
        what, fingerprint, options = "holds finished records", earlier.manifest.fingerprint, earlier.manifest.options
        theirs = earlier.manifest.counts["read"]
    elif earlier.plan:
        what, fingerprint, options = (
            "holds the unfinished work",
            earlier.plan.job.fingerprint,
            earlier.plan.job.options,
        )
        theirs = earlier.plan.num_inputs
    else:
        return
    if fingerprint == job.fingerprint:
        return
    differ = list(_differences(options, job.options))
    if theirs != num_inputs:
        differ.append(f"{theirs} inputs there, {num_inputs} here")
    elif not differ:
        differ.append(f"as many inputs ({theirs}), but other files, or files of other sizes")
    raise UserError(
        f"{job.folder}: {what} of other inputs or options ({'; '.join(differ)}); give --out a new folder, or delete "
        "this one"
    )


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    ours = json.loads(json.dumps(ours))
    theirs = json.loads(json.dumps(theirs))
    for name in sorted(theirs.keys() | ours.keys()):
        there, here = theirs.get(name), ours.get(name)
        if there == here:
            continue
        if isinstance(there, dict) or isinstance(here, dict) or name.endswith("fingerprint"):
            yield f"{name.removesuffix('_fingerprint')}: others there than here"
        else:
            yield f"{name} is {_text(there)} there, {_text(here)} here"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "not given" if value is None else str(value)
