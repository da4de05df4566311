"""Reads and writes .npz files, which hold arrays by name in a zip.

Whatever is wrong with a file's bytes is a UserError of one line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import zipfile
from collections.abc import Collection, Iterator
from typing import IO, BinaryIO

import numpy as np

from coltran import storage
from coltran.errors import UserError

SUFFIX = ".npz"
_MEMBER = ".npy"
# Version 3 of the format differs only in the names of fields, which no array here has.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says about one of its arrays before its values: shape, dtype and the order of its axes."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


def is_array_file(path: str) -> bool:
    """Says whether a path is named as an .npz file, in small or capital letters."""
    return path.lower().endswith(SUFFIX)


def save_arrays(path: str, **arrays: np.ndarray) -> None:
    """Writes an .npz file, local or gs://. The file gets its name only when it is complete."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    storage.write_bytes(path, buffer.getvalue())


def load_arrays(path: str, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Reads arrays of an .npz file, local or gs://.

    Args:
      path: the file.
      names: which arrays to read; None for all.

    Returns:
      {name: array}, each with the shape and dtype (float32, float64, int64, text) that was written.

    Raises:
      UserError: the file is missing or cut off, or an array that is asked for holds pickled objects.
    """
    # All of a file on Cloud Storage takes one request, and some of its arrays take several.
    with contextlib.ExitStack() as opened:
        file: BinaryIO = (
            io.BytesIO(storage.read_bytes(path)) if names is None else opened.enter_context(storage.open_read(path))
        )
        with _damage_in(path), zipfile.ZipFile(file) as members:
            return {name: _read(members, name) for name in _names(members) if names is None or name in names}


def headers(path: str) -> dict[str, Header]:
    """Reads {name: header} of the arrays of an .npz file, and none of their values.

    Raises:
      UserError: the file is missing or damaged.
    """
    with storage.open_read(path) as file, _damage_in(path), zipfile.ZipFile(file) as members:
        found = {}
        for name in _names(members):
            with members.open(name + _MEMBER) as member:
                found[name] = _read_header(member, members.getinfo(name + _MEMBER).file_size)
        return found


def rows(path: str, name: str) -> Iterator[bytes]:
    """Yields the bytes of an array's rows along its first axis. Only one row at a time is in memory.

    Raises:
      UserError: the file is missing or damaged.
    """
    with storage.open_read(path) as file, contextlib.ExitStack() as opened:
        with _damage_in(path):
            members = opened.enter_context(zipfile.ZipFile(file))
            member = opened.enter_context(members.open(name + _MEMBER))
            header = _read_header(member, members.getinfo(name + _MEMBER).file_size)
            row_bytes = math.prod(header.shape[1:]) * header.dtype.itemsize
        for _ in range(header.shape[0]):
            with _damage_in(path):
                row = _read_exactly(member, row_bytes)
            yield row
        with _damage_in(path):
            member.read()


def _read(members: zipfile.ZipFile, name: str) -> np.ndarray:
    with members.open(name + _MEMBER) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        member.read()  # to the end, where the zip's checksum is compared
    return array


def _names(members: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(_MEMBER) for name in members.namelist() if name.endswith(_MEMBER)]


def _read_header(member: IO[bytes], member_bytes: int) -> Header:
    version = np.lib.format.read_magic(member)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the array format")
    # Object arrays are seen here without unpickling them.
    shape, fortran_order, dtype = _HEADERS[version](member)
    value_bytes = math.prod(shape) * dtype.itemsize
    if value_bytes > member_bytes or any(side < 0 for side in shape):
        raise ValueError(f"an array of {list(shape)} {dtype} in {member_bytes} bytes")
    return Header(shape=shape, dtype=dtype, fortran_order=fortran_order)


def _read_exactly(member: IO[bytes] | BinaryIO, length: int) -> bytes:
    parts = []
    while length:
        part = member.read(length)
        if not part:
            raise EOFError("the array is cut off")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


@contextlib.contextmanager
def _damage_in(path: str) -> Iterator[None]:
    """Makes one line of whatever zipfile, its decompressors, and NumPy raise at damaged bytes."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # More than fifteen types were seen, and each means the same to the user.
        said = " ".join(ascii(str(error)).strip("'\"").split())[:200]
        raise UserError(
            f"{path}: not a readable .npz file of plain arrays ({said or type(error).__name__}); write it again"
        ) from error
