"""Walks a source's folder. Every file in it is either listed once, or passed over and counted with the reason.

Links are followed, but no folder is entered twice: a folder is known by its device and inode, so that the walk ends at
a link to a parent folder, and at two such links. Hidden files and those of systems are nobody's photos.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping

from coltran import storage
from coltran.errors import UserError

HIDDEN, SYSTEM, LINKED, UNREADABLE = "hidden", "system file", "link to what is listed already", "unreadable folder"
SKIP_UNREADABLE_HELP = "leave out folders that cannot be read, and count them; otherwise they are an error"
# What macOS, Windows, Synology, QNAP and file systems put among people's files, in lower case.
_SYSTEM_NAMES = frozenset(
    {
        "__macosx",
        "@eadir",
        "@__thumb",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Walk:
    """The files below a folder; found = len(files) + the sum of passed_over.

    Attributes:
      files: (path within the folder with '/', size in bytes) of each file, sorted by path. A link to nothing has size
        0, so that reading it fails and somebody notices it.
      passed_over: the number of other entries, by reason.
    """

    files: tuple[tuple[str, int], ...]
    passed_over: Mapping[str, int]


def walk(
    folder: str,
    *,
    takes: Callable[[str], bool] = lambda name: True,
    skip_unreadable: bool = False,
    can_skip: bool = False,
) -> Walk:
    """Lists the files below a folder, local or gs://.

    Args:
      folder: the folder.
      takes: tells by the path within the folder whether the caller takes a file. A link to a file that is taken under
        its own name is passed over.
      skip_unreadable: whether folders that cannot be read are counted instead of an error.
      can_skip: whether the command has the flag --skip_unreadable, which the error then names.
    Raises:
      UserError: a folder cannot be read, and that is not to be skipped.
    """
    if storage.is_gcs(folder):
        return _sorted_out(storage.list_files(folder))
    passed_over: collections.Counter[str] = collections.Counter()

    def unreadable(path: str, error: OSError) -> None:
        if not skip_unreadable:
            advice = "give access to it" + (", or leave it out with --skip_unreadable" if can_skip else "")
            raise UserError(f"{path}: the folder cannot be read: {error.strerror}; {advice}") from error
        passed_over[UNREADABLE] += 1

    files = list(_LocalWalk(folder, takes, passed_over, unreadable).files())
    return Walk(files=tuple(sorted(files)), passed_over=dict(passed_over))


def reason_to_pass_over(name: str) -> str | None:
    """Tells why a path within a source or an archive is nobody's photo: HIDDEN or SYSTEM, or None if it may be one."""
    for part in name.split("/"):
        if part.startswith(".") and part not in (".", ".."):
            return HIDDEN
        if part.lower() in _SYSTEM_NAMES:
            return SYSTEM
    return None


def describe_passed_over(passed_over: Mapping[str, int]) -> str | None:
    """Makes a line such as `4 files passed over: 2 .heic, 1 .pdf, 1 hidden`. Returns None if there are none."""
    total = sum(passed_over.values())
    if not total:
        return None
    parts = sorted(((number, reason) for reason, number in passed_over.items() if number), key=lambda part: -part[0])
    listed = ", ".join(f"{number} {reason}" for number, reason in parts)
    return f"{total} {'file' if total == 1 else 'files'} passed over: {listed}"


def _sorted_out(listed: Iterable[tuple[str, int]]) -> Walk:
    files: list[tuple[str, int]] = []
    passed_over: collections.Counter[str] = collections.Counter()
    for name, size in listed:
        reason = reason_to_pass_over(name)
        if reason is None:
            files.append((name, size))
        else:
            passed_over[reason] += 1
    return Walk(files=tuple(files), passed_over=dict(passed_over))


class _LocalWalk:
    """One walk on the local disk: first all that lies in the folder itself, then what its links lead to."""

    def __init__(
        self,
        folder: str,
        takes: Callable[[str], bool],
        passed_over: collections.Counter[str],
        unreadable: Callable[[str, OSError], None],
    ) -> None:
        self._folder, self._takes = folder, takes
        self._passed_over, self._unreadable = passed_over, unreadable
        self._entered: set[object] = set()  # (device, inode)
        self._taken: set[str] = set()  # real paths
        self._links: list[tuple[str, str]] = []  # (path within the folder, path)

    def files(self) -> Iterator[tuple[str, int]]:
        """Yields (path within the folder, size) of each file."""
        above = os.path.realpath(self._folder)
        while above != os.path.dirname(above):  # a link to a folder above this one would lead back into it
            above = os.path.dirname(above)
            self._enter(above)
        yield from self._below("", self._folder)
        while self._links:
            links, self._links = sorted(self._links), []
            # Files first: what is in a linked folder too is taken under the name that is nearer.
            for name, path in sorted(links, key=lambda link: os.path.isdir(link[1])):
                yield from self._linked(name, path)

    def _enter(self, path: str) -> bool:
        """Notes that a folder is entered. Returns whether it was not before."""
        try:
            status = os.stat(path)
        except OSError:
            return True  # listing it will say why
        # Some network disks have no inodes.
        place = (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
        new = place not in self._entered
        self._entered.add(place)
        return new

    def _below(self, name: str, path: str) -> Iterator[tuple[str, int]]:
        folders = [(name, path, os.path.realpath(path))]
        while folders:
            name, path, real = folders.pop()
            if not self._enter(path):
                self._passed_over[LINKED] += 1
                continue
            try:
                with os.scandir(path) as listed:
                    entries = sorted(listed, key=lambda entry: entry.name)
            except OSError as error:
                self._unreadable(path, error)
                continue
            for entry in entries:
                within = f"{name}/{entry.name}" if name else entry.name
                reason = reason_to_pass_over(entry.name)
                if reason is not None:
                    self._passed_over[reason] += _count_files(entry)
                elif entry.is_symlink():
                    self._links.append((within, entry.path))
                elif _is_real_folder(entry):
                    folders.append((within, entry.path, os.path.join(real, entry.name)))
                else:
                    if self._takes(within):
                        self._taken.add(os.path.join(real, entry.name))
                    yield within, _size(entry.path)

    def _linked(self, name: str, path: str) -> Iterator[tuple[str, int]]:
        if os.path.isdir(path):
            yield from self._below(name, path)
            return
        real = os.path.realpath(path)
        if real in self._taken:
            self._passed_over[LINKED] += 1
            return
        if self._takes(name):
            self._taken.add(real)
        yield name, _size(path)


def _is_real_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _count_files(entry: os.DirEntry) -> int:
    """Counts the files that are passed over with an entry, without following links; at least 1."""
    if not _is_real_folder(entry):
        return 1
    return max(1, sum(len(names) for _, _, names in os.walk(entry.path)))


def suffix_reason(name: str) -> str:
    """Names a file that is passed over by its suffix, such as `.pdf`, for counting."""
    suffix = posixpath.splitext(name)[1].lower()
    return suffix if 1 < len(suffix) <= 12 and suffix.isprintable() and " " not in suffix else "without suffix"
