"""Bytes by path, on the local disk and on Google Cloud Storage (gs://).

A file that is written here appears under its name only when it is complete. On disk, a temporary file, fsync and rename
ensure that. On Cloud Storage, an object does not exist before its upload has ended. We use google-cloud-storage, not
TensorFlow's or etils' file systems, so that the same code also talks to an emulator (`STORAGE_EMULATOR_HOST`) and needs
no TensorFlow.
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
from collections.abc import Iterator
from typing import Any, BinaryIO

from coltran.errors import UserError

GCS_PREFIX = "gs://"
CREDENTIALS = (
    "what is not public needs credentials: `gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS "
    "with a service account's key file"
)
_QUICK = 5.0  # seconds for the first request to a bucket
_TEMPORARY_MARK = ".writing-"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_gcs(path: str) -> bool:
    """Tells whether a path is a gs:// path."""
    return path.startswith(GCS_PREFIX)


def join(folder: str, *names: str) -> str:
    """Joins a folder, local or gs://, and names below it."""
    return (posixpath if is_gcs(folder) else os.path).join(folder, *names)


def check_access(path: str) -> None:
    """Raises UserError within seconds if a gs:// path cannot be reached. Later requests are retried for minutes.

    A local path needs no check, because its errors come at once.
    """
    if not is_gcs(path):
        return
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.retry import DEFAULT_RETRY

    bucket, prefix = _split(path)
    try:
        retry = DEFAULT_RETRY.with_timeout(_QUICK)
        for _ in _client().list_blobs(bucket, prefix=prefix, max_results=1, timeout=_QUICK, retry=retry):
            break
    except exceptions.NotFound as error:
        raise UserError(f"{path}: there is no bucket '{bucket}'") from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise UserError(f"{path}: no access to bucket '{bucket}'; {CREDENTIALS}") from error
    except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as error:
        raise UserError(
            f"{path}: Cloud Storage does not answer ({type(error).__name__}); is there a network, or a proxy to set?"
        ) from error


def exists(path: str) -> bool:
    """Tells whether `path` is a file (or object)."""
    return _blob(path).exists() if is_gcs(path) else os.path.isfile(path)


def is_folder(path: str) -> bool:
    """Tells whether `path` is a folder. On Cloud Storage it is one if any object lies below it."""
    if not is_gcs(path):
        return os.path.isdir(path)
    bucket, prefix = _split(path.rstrip("/") + "/")
    return any(True for _ in _client().list_blobs(bucket, prefix=prefix, max_results=1))


def size(path: str) -> int:
    """Returns the size in bytes of a file (or object), which must exist."""
    if is_gcs(path):
        blob = _blob(path)
        blob.reload()
        return blob.size
    return os.path.getsize(path)


def list_files(folder: str) -> list[tuple[str, int]]:
    """Lists all files below `folder` as (path relative to it with '/', size in bytes), sorted by path.

    Temporary files of a write in progress are left out.
    """
    found = _list_gcs(folder) if is_gcs(folder) else _list_local(folder)
    return sorted((name, size) for name, size in found if _TEMPORARY_MARK not in name)


def read_bytes(path: str) -> bytes:
    """Reads the whole file. Raises a UserError that names the file if it is missing or unreadable."""
    with open_read(path) as file:
        return file.read()


def read_range(path: str, offset: int, length: int) -> bytes:
    """Reads up to `length` bytes from `offset` on, fewer at the file's end. On Cloud Storage this takes one request."""
    if not is_gcs(path):
        with open_read(path) as file:
            file.seek(offset)
            return file.read(length)
    from google.api_core import exceptions

    if length == 0:
        return b""
    try:
        return _blob(path).download_as_bytes(start=offset, end=offset + length - 1)
    except exceptions.NotFound as error:
        raise UserError(f"{path}: no such object") from error
    except exceptions.RequestRangeNotSatisfiable:
        return b""


@contextlib.contextmanager
def open_read(path: str) -> Iterator[BinaryIO]:
    """Opens a binary reader that can seek. Raises a UserError that names the file if it is missing or unreadable."""
    if is_gcs(path):
        from google.api_core import exceptions

        try:
            with _blob(path).open("rb") as file:
                yield file
        except exceptions.NotFound as error:
            raise UserError(f"{path}: no such object") from error
        return
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            raise UserError(f"{path}: cannot be read: it is no regular file")  # reading a pipe could wait forever
        file = open(path, "rb")  # noqa: SIM115 (closed below; only the opening is guarded)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        yield file


def write_bytes(path: str, data: bytes, *, durable: bool = True) -> None:
    """Writes the whole file. Nobody ever sees a part of it under its name. If not `durable`, a crash may lose it."""
    with open_write(path, durable=durable) as file:
        file.write(data)


def create(path: str, data: bytes) -> bool:
    """Writes a small file unless it exists, and tells whether it did. If two try at once, only one of them succeeds."""
    if is_gcs(path):
        from google.api_core import exceptions

        try:
            _blob(path).upload_from_string(data, if_generation_match=0)
        except exceptions.PreconditionFailed:
            return False
        return True
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
        from google.api_core import exceptions

        with contextlib.suppress(exceptions.NotFound):
            _blob(path).delete()
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@contextlib.contextmanager
def open_write(path: str, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Opens a binary writer. The file appears under `path` only when the block ends without an exception.

    From then on a durable file survives a power failure. For other files, nobody waits for the disk.
    """
    if is_gcs(path):
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            _blob(path).upload_from_file(file)
        return
    folder, name = os.path.split(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{name}{_TEMPORARY_MARK}", dir=folder)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        if durable:
            _sync_folder(folder)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise UserError(
                f"{path}: cannot be written: {error.strerror}; make room, then run the same command again"
            ) from error
        raise


def start_writing_out(file: BinaryIO) -> None:
    """Starts to write buffered data to disk, without waiting for it, so that the fsync at the end has little to do."""
    if hasattr(os, "posix_fadvise"):
        file.flush()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def remove_folder(folder: str) -> None:
    """Removes a folder and everything in it. A missing folder is no error."""
    if is_gcs(folder):
        for name, _ in _list_gcs(folder):
            _blob(join(folder, name)).delete()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def remove_temporaries(folder: str) -> None:
    """Removes what killed writers left behind in a local folder (not below it)."""
    if is_gcs(folder) or not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        if _TEMPORARY_MARK in name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def _list_local(folder: str) -> Iterator[tuple[str, int]]:
    for root, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = os.path.join(root, name)
            # We list a link to nothing too, so that reading it fails and somebody notices it.
            size = os.path.getsize(path) if os.path.exists(path) else 0
            if os.path.lexists(path):
                yield os.path.relpath(path, folder).replace(os.sep, "/"), size


def _list_gcs(folder: str) -> Iterator[tuple[str, int]]:
    bucket, prefix = _split(folder.rstrip("/") + "/")
    for blob in _client().list_blobs(bucket, prefix=prefix):
        if not blob.name.endswith("/"):
            yield blob.name[len(prefix) :], blob.size or 0


def _split(path: str) -> tuple[str, str]:
    bucket, _, name = path.removeprefix(GCS_PREFIX).partition("/")
    if not bucket:
        raise UserError(f"{path}: expected gs://BUCKET/NAME")
    return bucket, name


def _blob(path: str) -> Any:
    bucket, name = _split(path)
    return _client().bucket(bucket).blob(name)


@functools.cache
def _client() -> Any:
    # The library asks whether this is a Google machine. There it knows at once, elsewhere it would ask for 20 seconds.
    os.environ.setdefault("GCE_METADATA_TIMEOUT", "1")
    os.environ.setdefault("GCE_METADATA_DETECT_RETRIES", "1")
    from google.auth import credentials, exceptions
    from google.cloud import storage  # type: ignore[attr-defined]  # a namespace package without types

    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return storage.Client(project="emulator", credentials=credentials.AnonymousCredentials())
    try:
        return storage.Client()
    except exceptions.DefaultCredentialsError:
        # We read public buckets, such as the one with the release's weights, without credentials.
        return storage.Client.create_anonymous_client()


@functools.cache
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: str) -> None:
    # A rename is durable only after its folder is on disk too.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
