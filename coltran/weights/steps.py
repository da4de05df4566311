"""Finds, marks and removes the step folders of checkpoints, on the local disk and on gs://.

<folder>/step_00000200/checkpoint.json   written last and removed first: without it, the step was never finished
<folder>/best                            names the step with the fewest validation bits: a link to it, or where
                                         there are no links (gs://, some network disks) a file with its name;
                                         copied with its links followed (`cp -rL`), it is the step itself
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from coltran import storage
from coltran.errors import UserError

METADATA = "checkpoint.json"
BEST = "best"
_CHECKPOINTS = "checkpoints"  # where a training's work folder has them
_STEP = re.compile(r"step_(\d{8,})")
_FINISHED = re.compile(rf"{_STEP.pattern}/{re.escape(METADATA)}")


def step_folder(folder: str | Path, step: int) -> str:
    """Returns the path of the checkpoint of `step`."""
    return storage.join(os.fspath(folder), f"step_{step:08d}")


def finished_steps(folder: str | Path) -> list[int]:
    """Lists the steps with a finished checkpoint in `folder`, in rising order. A missing folder has none."""
    folder = os.fspath(folder)
    if storage.is_gcs(folder):
        matches = [_FINISHED.fullmatch(name) for name, _ in storage.list_files(folder)]
        return sorted(int(match[1]) for match in matches if match)
    matches = [_STEP.fullmatch(name) for name in storage.list_names(folder)]
    return sorted(
        int(match[1]) for match in matches if match and storage.exists(storage.join(folder, match[0], METADATA))
    )


def any_begun(folder: str) -> bool:
    """Tells whether `folder` holds a step, finished or not."""
    return any(_STEP.fullmatch(name) for name in storage.list_names(folder))


def locate(folder: str | Path) -> str:
    """Finds the step folder that a user means: `folder` itself, the best one, or the newest finished step below it.

    Raises:
      UserError: there is none.
    """
    folder = os.fspath(folder)
    storage.check_access(folder)
    if storage.exists(storage.join(folder, METADATA)):
        return folder
    above, _, name = folder.rstrip("/").rpartition("/")
    best = best_step(above or ".") if name == BEST else None
    if best is not None:
        return best
    for parent in (folder, storage.join(folder, _CHECKPOINTS)):
        steps = finished_steps(parent)
        if steps:
            return step_folder(parent, steps[-1])
    if not storage.is_folder(folder):
        raise UserError(f"there is no folder {folder}: give a folder that coltran-train or coltran-import wrote")
    raise UserError(
        f"{folder} holds no finished checkpoint (a folder step_* with {METADATA}): "
        "give a folder that coltran-train or coltran-import wrote"
    )


def mark_best(folder: str, step: int) -> None:
    """Makes `best` name the checkpoint of `step`. A reader sees the old or the new one."""
    path, name = storage.join(folder, BEST), os.path.basename(step_folder(folder, step))
    if not storage.is_gcs(folder):
        if os.path.isdir(path) and not os.path.islink(path):
            remove(path)  # somebody copied the folder, and the link became what it led to
        temporary = os.path.join(folder, f".{BEST}.{os.getpid()}")
        Path(temporary).unlink(missing_ok=True)
        try:
            os.symlink(name, temporary)
            os.replace(temporary, path)
            return
        except OSError:  # some network disks have no links
            Path(temporary).unlink(missing_ok=True)
    storage.write_bytes(path, f"{name}\n".encode())


def best_step(folder: str) -> str | None:
    """Returns the finished step folder that `best` names, or None."""
    path = storage.join(folder, BEST)
    if not storage.is_gcs(path) and os.path.isdir(path) and not os.path.islink(path):
        return path if storage.exists(storage.join(path, METADATA)) else None
    if not storage.is_gcs(path) and os.path.isdir(path):
        named = os.path.basename(os.path.realpath(path))
    elif storage.exists(path):
        named = storage.read_bytes(path).decode(errors="replace").strip()
    else:
        return None
    found = storage.join(folder, named)
    return found if _STEP.fullmatch(named) and storage.exists(storage.join(found, METADATA)) else None


def remove(step: str) -> None:
    """Removes a step folder. From the first moment on, it is no finished checkpoint any more."""
    storage.remove(storage.join(step, METADATA))
    storage.remove_folder(step)


def remove_old(folder: str | Path, keep: int) -> None:
    """Removes finished checkpoints, except the newest `keep` and the best one."""
    folder = os.fspath(folder)
    old = [step_folder(folder, step) for step in finished_steps(folder)[:-keep]]
    best = best_step(folder) if old else None
    for path in old:
        if path != best:
            remove(path)


def set_aside(step: str) -> None:
    """Renames a damaged step folder `damaged_step_*`, so that nobody takes it and somebody may still look at it."""
    above, _, name = step.rpartition("/")
    storage.move_folder(step, storage.join(above, f"damaged_{name}"))
