"""Reads tensors from a PyTorch `.pth` file, without PyTorch and without running code from the file.

A `.pth` file holds a pickle, and an ordinary unpickler runs whatever the pickle asks for. The unpickler here knows only
a few names, and each of them only takes notes: an ordered dictionary, a tensor's (storage, offset, shape, strides), and
the element types of the storages. NumPy reads the bytes afterwards. Two formats are in use:

- The zip format, since PyTorch 1.6, has `<name>/data.pkl` and one file `<name>/data/<key>` per storage.
- The legacy format, used before, has five pickles one after the other (magic number, protocol, system, the object, the
  storage keys). Then for each storage key it has the number of elements as int64 and the bytes.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np

from coltran.errors import UserError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_ELEMENT_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class _Storage(NamedTuple):
    element_type: str
    key: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _TensorUnpickler(pickle.Unpickler):
    """Builds notes about tensors and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _ELEMENT_TYPES:
            return _ELEMENT_TYPES[name]
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            # Return a new function each time, because a pickle can set attributes on what it gets.
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, element_type, key, _location, size, *view = pid
        if kind != "storage" or element_type not in _ELEMENT_TYPES.values() or any(view):
            raise pickle.UnpicklingError(f"unknown storage {pid!r}")
        return _Storage(element_type, str(key), int(size))


def read_tensors(path: str) -> dict[str, np.ndarray]:
    """Reads a state dictionary.

    Args:
      path: a local `.pth` file in either format.

    Returns:
      {key: array}, each with the shape and dtype that the file says (float32, int64 and others).

    Raises:
      UserError: the file is missing, truncated or in another format, or it holds anything but named tensors.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UserError(f"cannot read the weights file {path}: {error.strerror}") from error
    try:
        notes, storages = _read_zip(data) if zipfile.is_zipfile(io.BytesIO(data)) else _read_legacy(data)
        return {key: _to_array(key, note, storages) for key, note in notes.items()}
    # An unpickler can raise nearly any exception on unexpected bytes.
    except Exception as error:
        raise UserError(
            f"{path} is not a PyTorch file of tensors, or a truncated one ({len(data):,} bytes): {error}. "
            "Download it again and compare its sha256"
        ) from error


def _read_zip(data: bytes) -> tuple[OrderedDict, dict[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"expected one data.pkl in the zip, found {len(pickles)}")
        root = pickles[0].removesuffix("data.pkl")
        if root + "byteorder" in names and archive.read(root + "byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")
        notes = _TensorUnpickler(io.BytesIO(archive.read(pickles[0]))).load()
        prefix = root + "data/"
        storages = {name.removeprefix(prefix): archive.read(name) for name in names if name.startswith(prefix)}
    return notes, storages


def _read_legacy(data: bytes) -> tuple[OrderedDict, dict[str, bytes]]:
    stream = io.BytesIO(data)
    if _TensorUnpickler(stream).load() != _LEGACY_MAGIC:
        raise ValueError("it does not start with PyTorch's magic number")
    _protocol = _TensorUnpickler(stream).load()
    if not _TensorUnpickler(stream).load()["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    notes = _TensorUnpickler(stream).load()
    # The file counts elements per key, not bytes. The notes tell the element type.
    widths = {note.storage.key: np.dtype(note.storage.element_type).itemsize for note in notes.values()}
    storages = {}
    for key in _TensorUnpickler(stream).load():
        elements = int.from_bytes(stream.read(8), "little")
        storages[key] = stream.read(elements * widths[key])
    return notes, storages


def _to_array(key: str, note: _Tensor, storages: dict[str, bytes]) -> np.ndarray:
    if not isinstance(note, _Tensor):
        raise ValueError(f"{key!r} is not a tensor")
    dtype = np.dtype(note.storage.element_type)
    data = storages[note.storage.key]
    if len(data) != note.storage.size * dtype.itemsize:
        raise ValueError(f"{key!r} needs {note.storage.size * dtype.itemsize:,} bytes, {len(data):,} are there")
    last = note.offset + sum((size - 1) * stride for size, stride in zip(note.shape, note.strides, strict=True))
    if min((note.offset, *note.shape, *note.strides)) < 0 or last >= note.storage.size:
        raise ValueError(f"{key!r} reaches beyond its storage")
    flat = np.frombuffer(data, dtype)[note.offset :]
    strides = [stride * dtype.itemsize for stride in note.strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat, note.shape, strides))
