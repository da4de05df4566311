"""Finds where the bytes of each image inside a zip lie, and reads them without the zip's directory.

Kaggle ships ImageNet as a zip. A member is read with one request, and its CRC-32 is checked.
"""

from __future__ import annotations

import contextlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator

from coltran import storage
from coltran.errors import UserError
from pipelines.sources.files import SourceFile
from pipelines.sources.image_ref import ImageRef, PassedOver

STORED, DEFLATED = "stored", "deflated"
_PACKING = {zipfile.ZIP_STORED: STORED, zipfile.ZIP_DEFLATED: DEFLATED}
_OTHER_PACKING = {9: "deflate64", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "zstandard", 95: "xz"}
_HEADER = struct.Struct("<4s22xHH")  # signature, then the lengths of name and extra field
_SLACK = 1024  # bytes for name and extra field; a longer header costs a second read
_ENCRYPTED = 1  # of a member's flag bits


def list_zip(file: SourceFile) -> Iterator[ImageRef | PassedOver]:
    """Lists the files in a zip's directory. Raises UserError if the directory is damaged."""
    for member in _members(file.path):
        if not member.filename.endswith(("/", "\\")):
            yield _entry(file, member)


def _entry(file: SourceFile, member: zipfile.ZipInfo) -> ImageRef | PassedOver:
    if stat.S_ISLNK(member.external_attr >> 16):
        return PassedOver("symbolic link")
    refusal = None
    if member.flag_bits & _ENCRYPTED:
        refusal = "it is encrypted; pack it again without a password"
    elif member.compress_type not in _PACKING:
        packing = _OTHER_PACKING.get(member.compress_type, f"method {member.compress_type}")
        refusal = f"it is packed by {packing}; pack it again with deflate"
    place = ("zip", member.header_offset, _PACKING.get(member.compress_type), member.CRC, member.file_size)
    return file.entry(member.filename, size=member.compress_size, place=place, refusal=refusal)


def read_first_named(path: str, ending: str) -> bytes | None:
    """Reads the first member of a zip whose name ends with `ending`. Returns None if there is none."""
    for member in _members(path):
        if member.filename.endswith(ending):
            with storage.open_read(path) as opened, _damage_named(path):
                return zipfile.ZipFile(opened).read(member)
    return None


def read_member(ref: ImageRef) -> bytes:
    """Reads a zip member's content. Raises ValueError or zlib.error if the member is damaged."""
    _, offset, packing, crc, size = ref.place
    found = storage.read_range(ref.path, offset, _HEADER.size + _SLACK + ref.size)
    if not found.startswith(b"PK\3\4") or len(found) < _HEADER.size:
        raise ValueError("the zip's directory points at something that is no member; the zip is damaged")
    start = _HEADER.size + sum(_HEADER.unpack_from(found)[1:])
    data = found[start : start + ref.size]
    if len(data) < ref.size:
        data = storage.read_range(ref.path, offset + start, ref.size)
    if len(data) < ref.size:
        raise ValueError("the archive ends in the middle of this member")
    if packing == DEFLATED:
        # The directory says how large the content is. A member that unpacks to more is damaged, or made to fill memory.
        data = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(data, size + 1)
    if len(data) != size:
        raise ValueError(f"unpacked it has {len(data)} bytes, the zip's directory says {size}; it is damaged")
    if zlib.crc32(data) != crc:
        raise ValueError(f"its CRC-32 is {zlib.crc32(data):08x}, the zip's directory says {crc:08x}; it is damaged")
    return data


def _members(path: str) -> list[zipfile.ZipInfo]:
    with storage.open_read(path) as opened, _damage_named(path):
        return zipfile.ZipFile(opened).infolist()


@contextlib.contextmanager
def _damage_named(path: str) -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error, OverflowError
    ) as error:  # fmt: skip
        raise UserError(f"{path}: the zip is damaged ({error}); get it again") from error
