"""Reads images from TFRecords of TensorFlow Datasets and of the classic ImageNet scripts.

The index pass skips the images. It reads only the small features of each record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from coltran import storage
from coltran.errors import UserError
from coltran.records import framing
from pipelines.sources import labels as imagenet_labels
from pipelines.sources.files import SourceFile, refuse_compressed
from pipelines.sources.image_ref import ImageRef, PassedOver
from pipelines.sources.labels import UNKNOWN

CLASSIC_IMAGE, CLASSIC_NAME, CLASSIC_LABEL = "image/encoded", "image/filename", "image/class/label"
CLASSIC_WNID = "image/class/synset"
TFDS_IMAGE, TFDS_NAME, TFDS_LABEL = "image", "file_name", "label"
_SMALL = 4096  # bytes; no image of interest is smaller, and no name or label is larger
_TEXT = re.compile(rb"[\t\r\n -~]+")
_MAP_ENTRY = b"\x0a"  # number 1 with a length, the tag of both `features` in an Example and `feature` in its Features


def list_records(file: SourceFile) -> Iterator[ImageRef | PassedOver]:
    """Lists the images of one TFRecord file. Raises UserError if it is damaged or holds something else."""
    with storage.open_read(file.path) as opened:
        start = opened.read(_SMALL)
        if not framing.is_header(start):
            refuse_compressed(start, file.path)
            if not start or _TEXT.fullmatch(start):
                yield PassedOver("index or checksum file" if start else "empty file")
                return
        for number, (offset, length) in enumerate(framing.read_layout(opened, file.path)):
            where = f"{file.path}: record {number}"
            small = _small_features(opened, offset + framing.DATA_START, length, where)
            name, label = _name_and_label(small, where)
            size = length + framing.FRAME_BYTES
            yield file.record(name, number, size=size, place=("tfrecord", offset), label=label)


def read_record(ref: ImageRef) -> bytes:
    """Reads the encoded image of a record. Raises ValueError if the record is damaged or has no image."""
    try:
        data = framing.unframe(storage.read_range(ref.path, ref.place[1], ref.size), "the TFRecord")
        values = framing.decode_example(data)
    except UserError as error:
        raise ValueError(str(error)) from error
    image = values.get(CLASSIC_IMAGE) or values.get(TFDS_IMAGE)
    if not image or not isinstance(image[0], bytes):
        raise ValueError(f"the record has no '{CLASSIC_IMAGE}' or '{TFDS_IMAGE}', only {', '.join(sorted(values))}")
    return image[0]


def _name_and_label(small: dict, where: str) -> tuple[object, int]:
    """Finds the image's own name and its label in 0..999, from the WordNet id if it has one, else from the number.

    The classic scripts count classes from 1, but TensorFlow Datasets counts from 0.
    """
    if CLASSIC_NAME in small or CLASSIC_LABEL in small:
        name = small.get(CLASSIC_NAME)
        label = imagenet_labels.label_from(small.get(CLASSIC_WNID, []))
        if label == UNKNOWN:
            label = imagenet_labels.label_from(small.get(CLASSIC_LABEL, []), first=1)
    elif TFDS_NAME in small or TFDS_LABEL in small:
        name, label = small.get(TFDS_NAME), imagenet_labels.label_from(small.get(TFDS_LABEL, []))
    else:
        raise UserError(
            f"{where}: has the features {', '.join(sorted(small)) or 'none'} beside its large ones; expected those of "
            f"TensorFlow Datasets ({TFDS_NAME}, {TFDS_LABEL}) or of the ImageNet scripts ({CLASSIC_NAME}, "
            f"{CLASSIC_LABEL})"
        )
    return name[0] if name else None, label


def _small_features(file: BinaryIO, start: int, length: int, where: str) -> dict[str, list]:
    """Reads the features of an Example, except the large ones, whose bytes are skipped.

    The small entries of the message's map, joined again, are an Example of their own.
    """
    file.seek(start)
    inside, begins = _tagged_length(file.read(16), where)
    end = start + begins + inside
    if end > start + length:
        raise UserError(f"{where}: not a tf.train.Example")
    entries, position = [], start + begins
    while position < end:
        file.seek(position)
        head = file.read(min(_SMALL, end - position))
        size, begins = _tagged_length(head, where)
        if begins + size <= len(head):
            entries.append(head[: begins + size])
        position += begins + size
    body = b"".join(entries)
    try:
        return framing.decode_example(_MAP_ENTRY + framing.varint(len(body)) + body)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def _tagged_length(data: bytes, where: str) -> tuple[int, int]:
    """Reads a field's length, and where its content begins."""
    if not data.startswith(_MAP_ENTRY):
        raise UserError(f"{where}: not a tf.train.Example")
    value = 0
    for place, byte in enumerate(data[1:11]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, place + 2
    raise UserError(f"{where}: not a tf.train.Example")
