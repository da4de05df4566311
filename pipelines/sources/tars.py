"""Finds where the bytes of each image inside a tar lie, so that nothing is unpacked.

The official files are `ILSVRC2012_img_train.tar`, a tar of 1000 tars (one per class), and the flat
`ILSVRC2012_img_val.tar`. A tar within a tar is a range of bytes of the outer file. Several threads list the inner tars.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from coltran import storage
from coltran.errors import UserError
from coltran.images.formats import has_image_suffix
from coltran.walking import LINKED, reason_to_pass_over
from pipelines.sources import labels as imagenet_labels
from pipelines.sources.files import SourceFile, refuse_compressed
from pipelines.sources.image_ref import ImageRef, PassedOver
from pipelines.sources.names import plain_path

_BLOCK = 512
_CHUNK = 1 << 20
_AFTER_END = "bytes after a tar's end"
# What tarfile raises for headers that make no sense, beside its own errors.
_DAMAGE = (tarfile.TarError, ValueError, OverflowError, IndexError, KeyError, EOFError, AttributeError, RecursionError)


def list_tars(files: Sequence[SourceFile], threads: concurrent.futures.Executor) -> Iterator[ImageRef | PassedOver]:
    """Lists the files in tars, and in the tars within them, by their headers. Raises UserError for a damaged tar."""
    waiting = [_named_by_class(file) for file in files]
    while waiting:
        inner: list[SourceFile] = []
        for entries in threads.map(lambda file: list(_entries(file)), waiting):
            for entry in entries:
                if isinstance(entry, SourceFile):
                    inner.append(entry)
                else:
                    yield entry
        waiting = inner


def read_member(ref: ImageRef) -> bytes:
    """Reads a tar member's content. Raises ValueError if the archive ends in the middle of it."""
    data = storage.read_range(ref.path, ref.place[1], ref.size)
    if len(data) < ref.size:
        raise ValueError("the archive ends in the middle of this member")
    return data


def _entries(file: SourceFile) -> Iterator[ImageRef | PassedOver | SourceFile]:
    """Yields what a tar holds; a SourceFile for each tar in it. Tars that were joined (`cat`) are read one by one."""
    where = f"{file.path}: {file.folder.rstrip('/')}.tar in it" if file.offset else file.path
    with storage.open_read(file.path) as opened:
        position = 0
        while position < file.size:
            part = _Part(opened, file.offset + position, file.size - position)
            refuse_compressed(part.read(16), where)
            part.seek(0)
            try:
                with tarfile.open(fileobj=_typed(part), mode="r:") as archive:
                    members = list(_members(archive))
                    end = archive.offset
            except _DAMAGE as error:
                if position and isinstance(error, tarfile.ReadError):
                    yield PassedOver(_AFTER_END)  # no tar begins there
                    return
                raise UserError(f"{where}: the tar is damaged ({error}); get it again") from error
            at = dataclasses.replace(file, offset=file.offset + position)
            yield from _TarMembers(at, members).entries()
            if part.read_at(end, _BLOCK).strip(b"\0"):
                raise UserError(f"{where}: the tar is damaged (no header at byte {position + end}); get it again")
            position += _next_data(part, end)


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    before = -1
    while (member := archive.next()) is not None:
        if member.size < 0 or archive.offset <= before:
            raise tarfile.ReadError("a header says a negative size")
        before = archive.offset
        yield member


class _TarMembers:
    """The members of one tar, and what becomes of each."""

    def __init__(self, file: SourceFile, members: Sequence[tarfile.TarInfo]) -> None:
        self._file, self._members = file, members
        self._by_name: dict[str, tarfile.TarInfo] | None = None

    def entries(self) -> Iterator[ImageRef | PassedOver | SourceFile]:
        for member in self._members:
            if member.isdir():
                continue
            if member.isfile():
                yield self._content(member, member)
            elif member.islnk() or member.issym():
                yield self._link(member)
            else:
                yield PassedOver("device or other special file")

    def _content(self, member: tarfile.TarInfo, content: tarfile.TarInfo) -> ImageRef | PassedOver | SourceFile:
        """Makes the entry with the name of `member` and the bytes of `content`."""
        name = plain_path(member.name)
        offset = self._file.offset + content.offset_data
        if name.lower().endswith(".tar") and reason_to_pass_over(name) is None and not content.issparse():
            folder = self._file.folder + name[: -len(".tar")] + "/"
            return dataclasses.replace(self._file, offset=offset, size=content.size, folder=folder)
        sparse = "it is stored as a sparse file; pack it again without --sparse" if content.issparse() else None
        return self._file.entry(member.name, size=content.size, place=("tar", offset), refusal=sparse)

    def _link(self, member: tarfile.TarInfo) -> ImageRef | PassedOver | SourceFile:
        """Resolves a link within the tar. A symbolic link to an image that is listed under its own name is none."""
        target, seen = member, 0
        while target is not None and (target.islnk() or target.issym()) and seen < 40:
            name = target.linkname
            if target.issym():
                name = posixpath.join(posixpath.dirname(plain_path(target.name)), name.replace("\\", "/"))
            target, seen = self._named(posixpath.normpath(plain_path(name))), seen + 1
        if target is None or not target.isfile():
            folder = self._has_folder(member)
            refusal = f"a link to '{member.linkname}', which is not in the tar"
            empty = self._file.entry(member.name, size=0, place=("tar", 0), refusal=refusal)
            return PassedOver(LINKED) if folder else empty
        if member.issym() and (has_image_suffix(target.name) or target.name.lower().endswith(".tar")):
            return PassedOver(LINKED)
        return self._content(member, target)

    def _has_folder(self, member: tarfile.TarInfo) -> bool:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(plain_path(member.name)), member.linkname))
        return any(plain_path(other.name).startswith(f"{place}/") for other in self._members)

    def _named(self, name: str) -> Any:
        if self._by_name is None:
            self._by_name = {posixpath.normpath(plain_path(member.name)): member for member in self._members}
        return self._by_name.get(name)


class _Part:
    """A range of a file that looks like a file of its own. So an inner tar without an end mark ends with its range."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file, self._offset, self._size = file, offset, size
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        self._file.seek(self._offset + self._position)
        data = self._file.read(left if size < 0 else min(size, left))
        self._position += len(data)
        return data

    def read_at(self, position: int, size: int) -> bytes:
        self.seek(position)
        return self.read(size)

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < 0:
            raise ValueError("a header leads to before the tar's begin")
        self._position = position
        return position


def _typed(part: _Part) -> Any:
    return part


def _next_data(part: _Part, position: int) -> int:
    """Finds the first block from `position` on that is not zeros, or a place behind the end."""
    part.seek(position)
    while chunk := part.read(_CHUNK):
        rest = chunk.lstrip(b"\0")
        if rest:
            return (position + len(chunk) - len(rest)) // _BLOCK * _BLOCK
        position += len(chunk)
    return position + 1


def _named_by_class(file: SourceFile) -> SourceFile:
    """Lets the name of one class's tar stand for its folder."""
    folder = file.name.rpartition("/")[2].removesuffix(".tar")
    return dataclasses.replace(file, folder=f"{folder}/") if folder in imagenet_labels.label_by_wnid() else file
