"""Reads and writes the TFRecord container and tf.train.Example messages, without TensorFlow.

A Beam worker that only moves records does not need to spend seconds and hundreds of megabytes on importing TensorFlow.
A frame consists of length (uint64, little endian), masked crc32c of those 8 bytes, data, masked crc32c of the data.
In the tests, TensorFlow reads what this module writes, and this module reads what TensorFlow writes.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import google_crc32c
import numpy as np

from coltran.errors import UserError

_MASK_DELTA = 0xA282EAD8
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
FRAME_BYTES = _HEADER.size + _FOOTER.size  # of a record, besides its data
DATA_START = _HEADER.size  # where the data begins within a record


def masked_crc32c(data: bytes) -> int:
    """Computes TFRecord's checksum, which is the crc32c rotated by 15 bits plus a constant, as unsigned 32 bits."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """Adds length and checksums to a record's data, as they stand in a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _FOOTER.pack(masked_crc32c(length)), data, _FOOTER.pack(masked_crc32c(data))))


def is_header(start: bytes) -> bool:
    """Tells whether `start`, the first bytes of a file, begins with a TFRecord's length and its checksum."""
    return len(start) >= _HEADER.size and masked_crc32c(start[:8]) == _HEADER.unpack_from(start)[1]


def read_frames(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yields the records of an open TFRecord file. Raises a UserError with the offset of a cut or damaged record."""
    offset = 0
    while header := file.read(_HEADER.size):
        data = _read_frame(file, header, f"{name}: record at byte {offset}")
        offset += _HEADER.size + len(data) + _FOOTER.size
        yield data


def read_layout(file: BinaryIO, name: str) -> Iterator[tuple[int, int]]:
    """Yields (offset, length of the data) of every record. It reads only headers. The caller may seek in between."""
    offset = 0
    file.seek(0)
    while header := file.read(_HEADER.size):
        length = _length(header, f"{name}: record at byte {offset}")
        yield offset, length
        offset += _HEADER.size + length + _FOOTER.size
        file.seek(offset)


def unframe(framed: bytes, where: str) -> bytes:
    """Checks one whole record that `frame` made, and returns its data. The error for a damaged record says `where`."""
    return _read_frame(io.BytesIO(framed[_HEADER.size :]), framed[: _HEADER.size], where)


def _read_frame(file: BinaryIO, header: bytes, where: str) -> bytes:
    length = _length(header, where)
    data = file.read(length)
    footer = file.read(_FOOTER.size)
    if len(data) < length or len(footer) < _FOOTER.size:
        raise UserError(f"{where}: the file ends in the middle of a record; write the shard again")
    if masked_crc32c(data) != _FOOTER.unpack(footer)[0]:
        raise UserError(f"{where}: checksum mismatch, the data is damaged; write the shard again")
    return data


def _length(header: bytes, where: str) -> int:
    if len(header) < _HEADER.size:
        raise UserError(f"{where}: the file ends in the middle of a record; write the shard again")
    length, crc = _HEADER.unpack(header)
    if masked_crc32c(header[:8]) != crc:
        raise UserError(f"{where}: not a TFRecord, or its length is damaged; write the shard again")
    return length


def encode_example(values: Mapping[str, bytes | int | float]) -> bytes:
    """Encodes a tf.train.Example. Each feature has one value: bytes, int64 or float. Equal values give equal bytes."""
    example = _example_class()()
    for name, value in values.items():
        feature = example.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif isinstance(value, (float, np.floating)):
            feature.float_list.value.append(value)
        else:
            feature.int64_list.value.append(value)
    return example.SerializeToString(deterministic=True)


def decode_example(data: bytes) -> dict[str, list[bytes] | list[int] | list[float]]:
    """Decodes all features of a tf.train.Example as lists. Raises ValueError if `data` is not such a message."""
    from google.protobuf.message import DecodeError

    try:
        example = _example_class().FromString(data)
    except DecodeError as error:
        raise ValueError("not a tf.train.Example") from error
    values = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        values[name] = list(getattr(feature, kind).value) if kind else []
    return values


def varint(value: int) -> bytes:
    """Encodes a whole number, at least 0, as protocol buffers do, with 7 bits in each byte, the lowest first."""
    groups = []
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


@functools.cache
def _example_class() -> Any:
    """Builds tf.train.Example from its public definition, in its own pool, so that it does not meet TensorFlow's."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="coltran/example.proto", package="coltran", syntax="proto3")

    def message(name: str, *fields: tuple, parent: Any = file.message_type) -> Any:
        added = parent.add(name=name)
        for number, (field_name, label, kind, type_name) in enumerate(fields, start=1):
            added.field.add(name=field_name, number=number, label=label, type=kind, type_name=type_name)
        return added

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message("BytesList", ("value", many, field.TYPE_BYTES, None))
    message("FloatList", ("value", many, field.TYPE_FLOAT, None))
    message("Int64List", ("value", many, field.TYPE_INT64, None))
    feature = message(
        "Feature",
        ("bytes_list", one, field.TYPE_MESSAGE, ".coltran.BytesList"),
        ("float_list", one, field.TYPE_MESSAGE, ".coltran.FloatList"),
        ("int64_list", one, field.TYPE_MESSAGE, ".coltran.Int64List"),
    )
    feature.oneof_decl.add(name="kind")
    for kind in feature.field:
        kind.oneof_index = 0
    features = message("Features", ("feature", many, field.TYPE_MESSAGE, ".coltran.Features.FeatureEntry"))
    entry = message(
        "FeatureEntry",
        ("key", one, field.TYPE_STRING, None),
        ("value", one, field.TYPE_MESSAGE, ".coltran.Feature"),
        parent=features.nested_type,
    )
    entry.options.map_entry = True
    message("Example", ("features", one, field.TYPE_MESSAGE, ".coltran.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("coltran.Example"))
