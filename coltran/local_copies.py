"""Local copies of files on gs://, for libraries that open only local files, and the way back.

A copy that is kept lies in the cache folder, below XDG_CACHE_HOME or below ~/.cache. Its folder is named after what it
is a copy of, with the objects' versions, so that a changed object is fetched again. It appears there when it is
complete, whatever number of processes fetch it at the same time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator

from coltran import cloud_storage, storage
from coltran.errors import UserError

_COPIES = "copies"
_UNFINISHED = ".fetching-"
_LEFT_BEHIND = 24 * 3600.0  # seconds after which the part of a copy must belong to a killed process


def cache_folder() -> str:
    """Returns this project's folder for what can be made or fetched again."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if cache.startswith("~"):  # a user without a home, as in many containers
        cache = os.path.join(tempfile.gettempdir(), f"cache-of-{os.getuid()}")
    return os.path.join(cache, "coltran")


@contextlib.contextmanager
def temporary(folder: str) -> Iterator[str]:
    """Gives the local path of a folder. For gs:// it is a copy, which is removed at the end of the block."""
    if not storage.is_gcs(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory() as above:
        target = os.path.join(above, "copy")
        _fetch(folder, [name for name, _ in storage.list_files(folder)], target)
        yield target


@contextlib.contextmanager
def uploaded(folder: str) -> Iterator[str]:
    """Gives a local path at which the block makes a folder. For gs://, the folder's files are then uploaded.

    The order of the uploads is not defined, so whoever calls this needs a mark of its own that the folder is complete.
    """
    if not storage.is_gcs(folder):
        yield os.path.abspath(folder)
        return
    with tempfile.TemporaryDirectory() as above:
        made = os.path.join(above, "copy")
        yield made

        def upload(name: str) -> None:
            cloud_storage.upload(os.path.join(made, name), storage.join(folder, name))

        storage.map_parallel(upload, [name for name, _ in storage.list_files(made)])


def kept_file(path: str, sha256: str | None = None) -> str:
    """Returns a local path of a file. On gs:// it is fetched once a machine and kept.

    Args:
      path: the file, local or gs://, which must exist.
      sha256: the known digest. A kept copy with another one was damaged on this disk, and is fetched again.
    """
    if not storage.is_gcs(path):
        return path
    folder, _, name = path.rpartition("/")
    kept = os.path.join(_kept(path, folder, {name: cloud_storage.version(path)}), name)
    if sha256 is not None and _digest(kept) != sha256:
        shutil.rmtree(os.path.dirname(kept), ignore_errors=True)
        kept = os.path.join(_kept(path, folder, {name: cloud_storage.version(path)}), name)
    return kept


def kept_folder(folder: str) -> str:
    """Returns a local path of a folder. On gs:// all its files are fetched once a machine and kept."""
    if not storage.is_gcs(folder):
        return folder
    folder = folder.rstrip("/")
    return _kept(folder, folder, dict(cloud_storage.list_versions(folder)))


def _kept(what: str, folder: str, versions: dict[str, str]) -> str:
    """Returns the kept copy of some files of a folder on gs://, {name: version}."""
    identity = json.dumps([what, sorted(versions.items())])
    copies = _writable(os.path.join(cache_folder(), _COPIES))
    target = os.path.join(copies, hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32])
    if os.path.isdir(target):
        return target
    _remove_left_behind(copies)
    unfinished = tempfile.mkdtemp(prefix=_UNFINISHED, dir=copies)
    try:
        _fetch(folder, list(versions), unfinished)
        with contextlib.suppress(FileExistsError, OSError):  # another process may have been faster
            os.rename(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if not os.path.isdir(target):
        raise UserError(f"{target}: the copy of {what} cannot be kept there; set XDG_CACHE_HOME to another folder")
    return target


def _fetch(folder: str, names: list[str], target: str) -> None:
    for name in names:
        if ".." in name.split("/"):
            raise UserError(f"{storage.join(folder, name)}: cannot be copied to a disk: '..' leads out of a folder")
    for above in {os.path.dirname(os.path.join(target, name)) for name in names} | {target}:
        os.makedirs(above, exist_ok=True)
    storage.map_parallel(
        lambda name: cloud_storage.download(storage.join(folder, name), os.path.join(target, name)), names
    )


def _writable(folder: str) -> str:
    """Returns the folder if it can be made, else one like it in the folder for temporary files."""
    for path in (folder, os.path.join(tempfile.gettempdir(), f"coltran-{os.getuid()}")):
        with contextlib.suppress(OSError):
            os.makedirs(path, mode=0o700, exist_ok=True)
            if os.access(path, os.W_OK):
                return path
    raise UserError(f"{folder}: cannot be written; set XDG_CACHE_HOME to a folder for copies of files on gs://")


def _remove_left_behind(copies: str) -> None:
    for entry in os.scandir(copies):
        with contextlib.suppress(OSError):
            if entry.name.startswith(_UNFINISHED) and time.time() - entry.stat().st_mtime > _LEFT_BEHIND:
                shutil.rmtree(entry.path, ignore_errors=True)


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
