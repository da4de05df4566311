"""Objects on Google Cloud Storage (gs://BUCKET/NAME). Everybody else reaches them through `coltran.storage`.

We use google-cloud-storage, not TensorFlow's or etils' file systems, so that the same code also talks to an emulator
(`STORAGE_EMULATOR_HOST`) and needs no TensorFlow.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import functools
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, TypeVar

from coltran.errors import UserError
from coltran.paths import GCS_PREFIX

CREDENTIALS = (
    "what is not public needs credentials: `gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS "
    "with a service account's key file"
)
REQUESTS_AT_ONCE = 32
_CANNOT = "cannot be written: "
_BATCH = 100  # deletions in one request, the service's limit
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_QUICK = 5.0  # seconds for the first request to a bucket
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_parallel(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Calls `function` on every item, in up to 32 threads, and returns the results in the items' order.

    It is for functions that wait for requests, so that many of them take hardly longer than one. The first error, in
    the items' order, is raised; calls that have not begun by then are never made.
    """
    listed = list(items)
    if len(listed) < 2:
        return [function(item) for item in listed]
    pool = concurrent.futures.ThreadPoolExecutor(min(REQUESTS_AT_ONCE, len(listed)))
    try:
        return list(pool.map(function, listed))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def check_access(path: str) -> None:
    """Raises UserError within seconds if the bucket of a path cannot be reached."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.retry import DEFAULT_RETRY

    bucket, prefix = split(path)
    try:
        retry = DEFAULT_RETRY.with_timeout(_QUICK)
        with _in_bucket(path):
            for _ in client().list_blobs(bucket, prefix=prefix, max_results=1, timeout=_QUICK, retry=retry):
                break
    except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as error:
        raise UserError(
            f"{path}: Cloud Storage does not answer ({type(error).__name__}); is there a network, or a proxy to set?"
        ) from error


def exists(path: str) -> bool:
    """Tells whether there is an object under this path."""
    return _blob(path).exists()


def is_folder(path: str) -> bool:
    """Tells whether any object lies below this path."""
    bucket, prefix = split(path.rstrip("/") + "/")
    with _in_bucket(path):
        return any(True for _ in client().list_blobs(bucket, prefix=prefix, max_results=1))


def size(path: str) -> int:
    """Returns the size of an object in bytes. Raises UserError if there is none."""
    blob = _blob(path)
    with _named(path):
        blob.reload()
    return blob.size


def list_below(folder: str) -> Iterator[tuple[str, int]]:
    """Lists all objects below a folder as (path relative to it, size in bytes)."""
    return ((name, blob.size or 0) for name, blob in _blobs_below(folder))


def list_versions(folder: str) -> Iterator[tuple[str, str]]:
    """Lists all objects below a folder as (path relative to it, a text that changes whenever the object is written)."""
    return ((name, _version(blob)) for name, blob in _blobs_below(folder))


def _blobs_below(folder: str) -> Iterator[tuple[str, Any]]:
    bucket, prefix = split(folder.rstrip("/") + "/")
    with _in_bucket(folder):
        for blob in client().list_blobs(bucket, prefix=prefix):
            if not blob.name.endswith("/"):
                yield blob.name[len(prefix) :], blob


def version(path: str) -> str:
    """Returns a text that changes whenever the object is written. Raises UserError if there is none."""
    blob = _blob(path)
    with _named(path):
        blob.reload()
    return _version(blob)


def _version(blob: Any) -> str:
    return f"{blob.generation} {blob.size} {blob.md5_hash or blob.crc32c}"


def list_names(folder: str) -> Iterator[str]:
    """Lists the names of the objects directly in a folder, and of the folders directly in it."""
    bucket, prefix = split(folder.rstrip("/") + "/")
    found = client().list_blobs(bucket, prefix=prefix, delimiter="/")
    with _in_bucket(folder):
        names = [blob.name for blob in found]
    for name in (*names, *(prefix.rstrip("/") for prefix in found.prefixes)):
        if len(name) > len(prefix):
            yield name[len(prefix) :]


def read_range(path: str, offset: int, length: int) -> bytes:
    """Reads up to `length` bytes from `offset` on in one request, fewer at the object's end."""
    from google.api_core import exceptions

    if length == 0:
        return b""
    try:
        with _named(path):
            return _blob(path).download_as_bytes(start=offset, end=offset + length - 1)
    except exceptions.RequestRangeNotSatisfiable:
        return b""


@contextlib.contextmanager
def open_read(path: str) -> Iterator[BinaryIO]:
    """Opens a binary reader that can seek. Raises UserError if there is no object."""
    with _named(path), _blob(path).open("rb") as file:
        yield file


@contextlib.contextmanager
def open_write(path: str) -> Iterator[BinaryIO]:
    """Opens a binary writer. The object is uploaded when the block ends without an exception."""
    with tempfile.TemporaryFile() as file:
        yield file
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        with _in_bucket(path, _CANNOT):
            _blob(path).upload_from_file(file, size=size)  # with its size, a small file takes one request and not two


def download(path: str, local: str) -> None:
    """Copies an object to a local file."""
    try:
        with _named(path):
            _blob(path).download_to_filename(local)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise UserError(f"{local}: cannot be written: {error.strerror}; make room for a copy of {path}") from error


def upload(local: str, path: str) -> None:
    """Copies a local file to an object."""
    with _in_bucket(path, _CANNOT):
        _blob(path).upload_from_filename(local)


def move_folder(folder: str, to: str) -> None:
    """Moves all objects below a folder to another folder of the bucket. Their bytes stay in the service."""
    bucket, before = split(folder.rstrip("/") + "/")
    _, after = split(to.rstrip("/") + "/")
    place = client().bucket(bucket)
    names = [name for name, _ in list_below(folder)]
    map_parallel(lambda name: place.copy_blob(place.blob(before + name), place, after + name), names)
    remove_many(f"{folder.rstrip('/')}/{name}" for name in names)


def create(path: str, data: bytes) -> bool:
    """Writes a small object unless it exists, and tells whether it did. Of two at once, only one succeeds."""
    from google.api_core import exceptions

    try:
        with _in_bucket(path, _CANNOT):
            _blob(path).upload_from_string(data, if_generation_match=0)
    except exceptions.PreconditionFailed:
        return False
    return True


def remove(path: str) -> None:
    """Removes an object. A missing object is no error."""
    from google.api_core import exceptions

    with contextlib.suppress(exceptions.NotFound):
        _blob(path).delete()


def remove_many(paths: Iterable[str]) -> None:
    """Removes objects, 100 a request and several requests at once. Missing objects are no error."""
    remaining = iter(paths)
    map_parallel(_remove_batch, iter(lambda: list(itertools.islice(remaining, _BATCH)), []))


def _remove_batch(paths: list[str]) -> None:
    from google.api_core import exceptions

    try:
        with client().batch():
            for path in paths:
                _blob(path).delete()
    except exceptions.GoogleAPICallError:
        # A batch tells one of its errors and is not tried again. Single requests are, and each is judged by itself.
        for path in paths:
            remove(path)


def split(path: str) -> tuple[str, str]:
    """Splits gs://BUCKET/NAME into its bucket and name."""
    bucket, _, name = path.removeprefix(GCS_PREFIX).partition("/")
    if not bucket:
        raise UserError(f"{path}: expected gs://BUCKET/NAME")
    return bucket, name


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    from google.api_core import exceptions

    try:
        yield
    except exceptions.NotFound as error:
        raise UserError(f"{path}: no such object") from error


@contextlib.contextmanager
def _in_bucket(path: str, what: str = "") -> Iterator[None]:
    """Turns errors about the bucket of a path, rather than about one object, into one line."""
    from google.api_core import exceptions

    bucket, _ = split(path)
    try:
        yield
    except exceptions.NotFound as error:
        raise UserError(f"{path}: {what}there is no bucket '{bucket}'") from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise UserError(f"{path}: {what}no access to bucket '{bucket}'; {CREDENTIALS}") from error


def _blob(path: str) -> Any:
    bucket, name = split(path)
    return client().bucket(bucket).blob(name)


@functools.cache
def client() -> Any:
    """Returns this process's client of Cloud Storage, or of the emulator."""
    # The library asks whether this is a Google machine. There it knows at once, elsewhere it would ask for 20 seconds.
    os.environ.setdefault("GCE_METADATA_TIMEOUT", "1")
    os.environ.setdefault("GCE_METADATA_DETECT_RETRIES", "1")
    from google.auth import credentials, exceptions
    from google.cloud import storage  # type: ignore[attr-defined]  # a namespace package without types

    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return _for_threads(storage.Client(project="emulator", credentials=credentials.AnonymousCredentials()))
    try:
        return _for_threads(storage.Client())
    except exceptions.DefaultCredentialsError:
        # We read public buckets, such as the one with the release's weights, without credentials.
        return _for_threads(storage.Client.create_anonymous_client())


def _for_threads(made: Any) -> Any:
    """Lets a client keep as many connections as `map_parallel` has threads. By default it drops all but ten."""
    from requests.adapters import HTTPAdapter

    for scheme in ("https://", "http://"):
        made._http.mount(scheme, HTTPAdapter(pool_connections=REQUESTS_AT_ONCE, pool_maxsize=REQUESTS_AT_ONCE))
    return made
