"""Images inside a zip or a tar: where each one's bytes lie, and how they are read without the archive's directory.

Kaggle ships ImageNet as a zip; the official files are `ILSVRC2012_img_train.tar`, a tar of 1000 tars (one a class), and
the flat `ILSVRC2012_img_val.tar`.
"""

from __future__ import annotations

import dataclasses
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from coltran import storage
from coltran.errors import UserError

RAW, STORED, DEFLATED = "raw", "stored", "deflated"
_ZIP_PACKING = {zipfile.ZIP_STORED: STORED, zipfile.ZIP_DEFLATED: DEFLATED}
_ZIP_HEADER = struct.Struct("<4s22xHH")  # signature, then lengths of name and extra field


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One file in an archive.

    Attributes:
      name: path in the archive; a member of a tar within a tar stands in a folder of the inner tar's name.
      offset: of the data (`raw`), or of a zip's local header.
      size: bytes to read there.
      packing: `raw` for a tar, `stored` or `deflated` for a zip.
    """

    name: str
    offset: int
    size: int
    packing: str


def list_members(source: str) -> Iterator[Member]:
    """All files in a .zip or .tar, local or gs://. Raises UserError for anything else, or a damaged archive."""
    with storage.open_read(source) as file:
        is_zip = zipfile.is_zipfile(file)
        file.seek(0)
        if is_zip:
            yield from _zip_members(source, file)
            return
        try:
            yield from _tar_members(file, 0, "")
        except tarfile.TarError as error:
            raise UserError(
                f"{source}: expected a folder of images, a .zip or a .tar that is not compressed, "
                f"and this is none or damaged ({error})"
            ) from error


def read_member(file: BinaryIO, member: Member) -> bytes:
    """A member's content from its open archive. Raises ValueError or zlib.error where it is damaged."""
    file.seek(member.offset)
    if member.packing != RAW:
        signature, name_length, extra_length = _ZIP_HEADER.unpack(file.read(_ZIP_HEADER.size))
        if signature != b"PK\3\4":
            raise ValueError("the zip's directory points at something that is no member; the zip is damaged")
        file.seek(name_length + extra_length, 1)
    data = file.read(member.size)
    if len(data) < member.size:
        raise ValueError("the archive ends in the middle of this member")
    return zlib.decompress(data, wbits=-zlib.MAX_WBITS) if member.packing == DEFLATED else data


def _zip_members(source: str, file: BinaryIO) -> Iterator[Member]:
    try:
        members = zipfile.ZipFile(file).infolist()
    except zipfile.BadZipFile as error:
        raise UserError(f"{source}: the zip is damaged ({error})") from error
    for member in members:
        if member.is_dir():
            continue
        if member.compress_type not in _ZIP_PACKING or member.flag_bits & 1:
            raise UserError(f"{source}: '{member.filename}' is encrypted or packed in a way other than zip's deflate")
        packing = _ZIP_PACKING[member.compress_type]
        yield Member(name=member.filename, offset=member.header_offset, size=member.compress_size, packing=packing)


def _tar_members(file: BinaryIO, start: int, folder: str) -> Iterator[Member]:
    """Members of the tar that begins at `start` of the outermost file; headers alone are read."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if not member.isfile():
                continue
            offset = start + member.offset_data
            if member.name.endswith(".tar") and not folder:
                yield from _tar_members(archive.extractfile(member), offset, member.name.removesuffix(".tar") + "/")
            else:
                yield Member(name=folder + member.name, offset=offset, size=member.size, packing=RAW)
