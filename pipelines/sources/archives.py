"""Finds where the bytes of each image inside a zip or a tar lie, and reads them without the archive's directory.

Kaggle ships ImageNet as a zip. The official files are `ILSVRC2012_img_train.tar`, a tar of 1000 tars (one per class),
and the flat `ILSVRC2012_img_val.tar`. A tar within a tar is a range of bytes of the outer file, so nothing is unpacked.
Several threads list the inner tars.
"""

from __future__ import annotations

import contextlib
import dataclasses
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from coltran import storage
from coltran.errors import UserError
from pipelines.sources import labels as imagenet_labels
from pipelines.sources.files import SourceFile
from pipelines.sources.image_ref import ImageRef

STORED, DEFLATED = "stored", "deflated"
_ZIP_PACKING = {zipfile.ZIP_STORED: STORED, zipfile.ZIP_DEFLATED: DEFLATED}
_ZIP_HEADER = struct.Struct("<4s22xHH")  # signature, then the lengths of name and extra field
_ZIP_SLACK = 1024  # bytes for name and extra field; a longer header costs a second read


def split_tar(file: SourceFile) -> list[SourceFile]:
    """Finds the tars within a tar, or the tar itself if it holds images. Raises UserError for a damaged tar."""
    with _opened_tar(file) as archive:
        first = archive.next()
        if first is None or not first.name.endswith(".tar"):
            folder = file.name.rpartition("/")[2].removesuffix(".tar") + "/"  # the tar of one class
            return [_part(file, 0, folder if _is_wnid(folder) else "")]
        return [
            _part(file, member.offset_data, member.name.removesuffix(".tar") + "/")
            for member in archive
            if member.isfile() and member.name.endswith(".tar")
        ]


def list_tar(file: SourceFile) -> Iterator[ImageRef]:
    """Lists the files in a tar, which may lie within another tar. It reads only headers."""
    with _opened_tar(file) as archive:
        for member in archive:
            if member.isfile():
                place = ("tar", file.offset + member.offset_data)
                yield file.image(member.name, size=member.size, place=place)


def list_zip(file: SourceFile) -> Iterator[ImageRef]:
    """Lists the files in a zip's directory. Raises UserError if the zip cannot be read member by member."""
    with storage.open_read(file.path) as opened:
        try:
            members = zipfile.ZipFile(opened).infolist()
        except zipfile.BadZipFile as error:
            raise UserError(f"{file.path}: the zip is damaged ({error})") from error
    for member in members:
        if member.is_dir():
            continue
        if member.compress_type not in _ZIP_PACKING or member.flag_bits & 1:
            raise UserError(f"{file.path}: '{member.filename}' is encrypted, or packed by other means than deflate")
        place = ("zip", member.header_offset, _ZIP_PACKING[member.compress_type])
        yield file.image(member.filename, size=member.compress_size, place=place)


def read_tar_member(ref: ImageRef) -> bytes:
    """Reads a tar member's content. Raises ValueError if the archive ends in the middle of it."""
    return _whole(storage.read_range(ref.path, ref.place[1], ref.size), ref.size)


def read_zip_member(ref: ImageRef) -> bytes:
    """Reads a zip member's content. Raises ValueError or zlib.error if the member is damaged."""
    _, offset, packing = ref.place
    found = storage.read_range(ref.path, offset, _ZIP_HEADER.size + _ZIP_SLACK + ref.size)
    if not found.startswith(b"PK\3\4") or len(found) < _ZIP_HEADER.size:
        raise ValueError("the zip's directory points at something that is no member; the zip is damaged")
    start = _ZIP_HEADER.size + sum(_ZIP_HEADER.unpack_from(found)[1:])
    data = found[start : start + ref.size]
    if len(data) < ref.size:
        data = _whole(storage.read_range(ref.path, offset + start, ref.size), ref.size)
    return zlib.decompress(data, wbits=-zlib.MAX_WBITS) if packing == DEFLATED else data


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise ValueError("the archive ends in the middle of this member")
    return data


@contextlib.contextmanager
def _opened_tar(file: SourceFile) -> Iterator[tarfile.TarFile]:
    with storage.open_read(file.path) as opened:
        opened.seek(file.offset)
        try:
            # tarfile counts offsets from the file's current position.
            begun: Any = _From(opened, file.offset)
            with tarfile.open(fileobj=begun, mode="r:") as archive:
                yield archive
        except tarfile.TarError as error:
            raise UserError(f"{file.path}: the tar is damaged ({error}); get it again") from error


class _From:
    """A file that begins at an offset of another file, so that a tar within a tar looks like a tar of its own."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file, self._offset = file, offset

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell() - self._offset

    def seek(self, position: int) -> int:
        return self._file.seek(position + self._offset) - self._offset


def _part(file: SourceFile, offset: int, folder: str) -> SourceFile:
    return dataclasses.replace(file, offset=offset, folder=folder)


def _is_wnid(folder: str) -> bool:
    return folder.rstrip("/") in imagenet_labels.label_by_wnid()
