"""Reads images' bytes in the given order. On Cloud Storage, it requests some while others are worked on."""

from __future__ import annotations

import collections
import concurrent.futures
import zlib
from collections.abc import Callable, Iterable, Iterator

from coltran import storage
from coltran.errors import UserError
from coltran.images.decoding import ImageRejected
from pipelines.sources import tars, tfrecords, zips
from pipelines.sources.image_ref import REFUSED, ImageRef

_AHEAD = 16  # a request takes tens of milliseconds, but decoding an image takes only a few


def read_images(refs: Iterable[ImageRef]) -> Iterator[tuple[ImageRef, bytes | ImageRejected]]:
    """Yields every image's bytes, or why it has none, because one bad file must not stop a million others."""
    refs = list(refs)
    if refs and refs[0].place[:1] == ("parquet",):
        from pipelines.sources.parquet import RowReader

        reader = RowReader()
        yield from ((ref, _read(ref, reader.read)) for ref in refs)
    elif refs and storage.is_gcs(refs[0].path):
        yield from _read_ahead(refs)
    else:
        yield from ((ref, _read(ref, read_image)) for ref in refs)


def read_image(ref: ImageRef) -> bytes:
    """Reads one image's bytes from any kind of source except Parquet.

    Raises:
      UserError: the image's file cannot be read.
      ValueError, zlib.error: the image is damaged.
    """
    if not ref.place:
        return storage.read_bytes(ref.path)
    readers = {
        "tar": tars.read_member,
        "zip": zips.read_member,
        "tfrecord": tfrecords.read_record,
    }
    return readers[ref.place[0]](ref)


def _read(ref: ImageRef, reader: Callable[[ImageRef], bytes]) -> bytes | ImageRejected:
    if ref.place[:1] == (REFUSED,):
        return ImageRejected(*ref.place[1:])
    try:
        return reader(ref)
    except (UserError, ValueError, zlib.error) as error:
        return ImageRejected("unreadable", str(error))
    except OSError as error:  # a disk or network that fails in the middle of a file
        return ImageRejected("unreadable", error.strerror or str(error))


def _read_ahead(refs: list[ImageRef]) -> Iterator[tuple[ImageRef, bytes | ImageRejected]]:
    with concurrent.futures.ThreadPoolExecutor(_AHEAD) as threads:
        waiting: collections.deque = collections.deque()
        for ref in refs:
            waiting.append((ref, threads.submit(_read, ref, read_image)))
            if len(waiting) == _AHEAD:
                first, result = waiting.popleft()
                yield first, result.result()
        for first, result in waiting:
            yield first, result.result()
