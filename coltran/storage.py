"""Bytes by path, on the local disk and on Google Cloud Storage (gs://).

A file that is written here appears under its name only when it is complete. On disk, a temporary file, fsync and rename
ensure that. On Cloud Storage (coltran/cloud_storage.py), an object does not exist before its upload has ended.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import posixpath
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from coltran import cloud_storage
from coltran.cloud_storage import CREDENTIALS as CREDENTIALS, map_parallel as map_parallel
from coltran.errors import UserError
from coltran.paths import GCS_PREFIX as GCS_PREFIX, is_gcs as is_gcs

_TEMPORARY_MARK = ".writing-"
_CANNOT_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EISDIR)


def join(folder: str, *names: str) -> str:
    """Joins a folder, local or gs://, and names below it."""
    return (posixpath if is_gcs(folder) else os.path).join(folder, *names)


def absolute(path: str) -> str:
    """Returns a path that means the same in every working folder."""
    return path if is_gcs(path) else os.path.abspath(path)


def check_access(path: str) -> None:
    """Raises UserError within seconds if a gs:// path cannot be reached. Later requests are retried for minutes.

    A local path needs no check, because its errors come at once.
    """
    if is_gcs(path):
        cloud_storage.check_access(path)


def exists(path: str) -> bool:
    """Tells whether `path` is a file (or object)."""
    return cloud_storage.exists(path) if is_gcs(path) else os.path.isfile(path)


def is_folder(path: str) -> bool:
    """Tells whether `path` is a folder. On Cloud Storage it is one if any object lies below it."""
    return cloud_storage.is_folder(path) if is_gcs(path) else os.path.isdir(path)


def size(path: str) -> int:
    """Returns the size in bytes of a file (or object), which must exist."""
    return cloud_storage.size(path) if is_gcs(path) else os.path.getsize(path)


def list_files(folder: str) -> list[tuple[str, int]]:
    """Lists all files below `folder` as (path relative to it with '/', size in bytes), sorted by path.

    Temporary files of a write in progress are left out.
    """
    found = cloud_storage.list_below(folder) if is_gcs(folder) else _list_local(folder)
    return sorted((name, size) for name, size in found if _TEMPORARY_MARK not in name)


def list_names(folder: str) -> list[str]:
    """Lists the names of files and folders directly in `folder`, sorted. A missing folder has none.

    Temporary files of a write in progress are left out.
    """
    if is_gcs(folder):
        found: Iterable[str] = cloud_storage.list_names(folder)
    else:
        found = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(name for name in found if _TEMPORARY_MARK not in name)


def read_bytes(path: str) -> bytes:
    """Reads the whole file. Raises a UserError that names the file if it is missing or unreadable."""
    with open_read(path) as file:
        return file.read()


def read_range(path: str, offset: int, length: int) -> bytes:
    """Reads up to `length` bytes from `offset` on, fewer at the file's end. On Cloud Storage this takes one request."""
    if is_gcs(path):
        return cloud_storage.read_range(path, offset, length)
    with open_read(path) as file:
        file.seek(offset)
        return file.read(length)


@contextlib.contextmanager
def open_read(path: str) -> Iterator[BinaryIO]:
    """Opens a binary reader that can seek. Raises a UserError that names the file if it is missing or unreadable."""
    if is_gcs(path):
        with cloud_storage.open_read(path) as file:
            yield file
        return
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            raise UserError(f"{path}: cannot be read: it is no regular file")  # reading a pipe could wait forever
        opened = open(path, "rb")  # noqa: SIM115 (closed below; only the opening is guarded)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    with opened:
        yield opened


def write_bytes(path: str, data: bytes, *, durable: bool = True) -> None:
    """Writes the whole file. Nobody ever sees a part of it under its name. If not `durable`, a crash may lose it."""
    with open_write(path, durable=durable) as file:
        file.write(data)


def create(path: str, data: bytes) -> bool:
    """Writes a small file unless it exists, and tells whether it did. If two try at once, only one of them succeeds."""
    if is_gcs(path):
        return cloud_storage.create(path, data)
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    return True


def remove(path: str) -> None:
    """Removes a file. A missing file is no error."""
    if is_gcs(path):
        cloud_storage.remove(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def remove_many(paths: Iterable[str]) -> None:
    """Removes files, those on Cloud Storage 100 a request. Missing files are no error."""
    listed = list(paths)
    cloud_storage.remove_many(path for path in listed if is_gcs(path))
    for path in listed:
        if not is_gcs(path):
            remove(path)


@contextlib.contextmanager
def open_write(path: str, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Opens a binary writer. The file appears under `path` only when the block ends without an exception.

    From then on a durable file survives a power failure. For other files, nobody waits for the disk.
    """
    if is_gcs(path):
        with cloud_storage.open_write(path) as file:
            yield file
        return
    folder, name = os.path.split(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{name}{_TEMPORARY_MARK}", dir=folder)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w+b") as opened:
            yield opened
            opened.flush()
            if durable:
                _sync(opened.fileno())
        with contextlib.suppress(OSError):  # some network disks have no modes; then the disk's own apply
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        if durable:
            _sync_folder(folder)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno in cloud_storage.DISK_FULL:
            raise UserError(
                f"{path}: cannot be written: {error.strerror}; make room, then run the same command again"
            ) from error
        raise


def start_writing_out(file: BinaryIO) -> None:
    """Starts to write buffered data to disk, without waiting for it, so that the fsync at the end has little to do."""
    if hasattr(os, "posix_fadvise"):
        file.flush()
        with contextlib.suppress(OSError):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def remove_folder(folder: str) -> None:
    """Removes a folder and everything in it. A missing folder is no error."""
    if is_gcs(folder):
        cloud_storage.remove_many(join(folder, name) for name, _ in cloud_storage.list_below(folder))
    else:
        shutil.rmtree(folder, ignore_errors=True)


def move_folder(folder: str, to: str) -> None:
    """Gives a folder another name on the same disk or in the same bucket. An old folder of that name is removed."""
    remove_folder(to)
    if is_gcs(folder):
        cloud_storage.move_folder(folder, to)
    else:
        os.rename(folder, to)


def remove_temporaries(folder: str) -> None:
    """Removes what killed writers left behind in a local folder (not below it)."""
    if is_gcs(folder) or not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        if _TEMPORARY_MARK in name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def _list_local(folder: str) -> Iterator[tuple[str, int]]:
    entered: set[tuple[int, int]] = set()  # device and inode, as links may lead round in circles
    for root, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        for name in names:
            path = os.path.join(root, name)
            # We list a link to nothing too, so that reading it fails and somebody notices it.
            size = os.path.getsize(path) if os.path.exists(path) else 0
            if os.path.lexists(path):
                yield os.path.relpath(path, folder).replace(os.sep, "/"), size


@functools.cache
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: str) -> None:
    """Waits until a folder is on disk, because a rename is durable only then. Not every disk can open folders."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        _sync(handle)
    finally:
        os.close(handle)


def _sync(handle: int) -> None:
    """Waits until a file or folder is on disk, as far as its file system can do that."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
