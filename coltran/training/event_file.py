"""Writes scalars and pictures for TensorBoard as a TFRecord file of `tensorflow.Event` messages, without TensorFlow.

This module encodes the few fields that they need by hand (protocol buffers: varint tag, then value), because importing
TensorFlow takes longer than a small training run.
"""

import os
import struct
import time
from collections.abc import Mapping

from coltran import storage
from coltran.records import framing
from coltran.training.appended_file import AppendedFile

# tensorflow.Event: wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5 (message).
# tensorflow.Summary: value = 1 (message), of which tag = 1 (string), simple_value = 2 (float), image = 4 (message).
# tensorflow.Summary.Image: height = 1, width = 2, colorspace = 3 (int32), encoded_image_string = 4 (bytes).
_RGB = 3


class EventFile:
    """Appends scalars and pictures to one new event file in `folder`, local or gs://."""

    def __init__(self, folder: str):
        name = f"events.out.tfevents.{time.time():.6f}.{os.getpid()}.coltran"
        self._file = AppendedFile(storage.join(folder, name))
        self._write(_text(3, b"brain.Event:2"))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes the scalars of one step."""
        values = b"".join(_text(1, _text(1, tag.encode()) + _float(2, value)) for tag, value in scalars.items())
        self._write(_number(2, step) + _text(5, values))

    def write_picture(self, step: int, tag: str, png: bytes) -> None:
        """Writes one PNG of one step."""
        width, height = struct.unpack(">II", png[16:24])  # from the header chunk, which comes first
        numbers = ((1, height), (2, width), (3, _RGB))
        image = b"".join(framing.varint(field << 3) + framing.varint(number) for field, number in numbers) + _text(
            4, png
        )
        self._write(_number(2, step) + _text(5, _text(1, _text(1, tag.encode()) + _text(4, image))))

    def flush(self) -> None:
        """Makes everything visible to readers, on gs:// too."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file. Nothing can be written afterwards."""
        self._file.close()

    def _write(self, fields: bytes) -> None:
        event = bytes([1 << 3 | 1]) + struct.pack("<d", time.time()) + fields
        self._file.write(framing.frame(event))


def _number(field: int, value: int) -> bytes:
    return framing.varint(field << 3) + framing.varint(value)


def _text(field: int, data: bytes) -> bytes:
    return framing.varint(field << 3 | 2) + framing.varint(len(data)) + data


def _float(field: int, value: float) -> bytes:
    return framing.varint(field << 3 | 5) + struct.pack("<f", value)
