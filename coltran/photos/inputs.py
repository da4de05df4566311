"""Finds the photos that a command line means, and names their results."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import re

from coltran import storage
from coltran.errors import UserError
from coltran.file_patterns import IMAGE_SUFFIXES, is_pattern, list_matching

CONTACT_SHEET = "contact_sheet.png"
_MADE = re.compile(rf"(_sample\d+(_certainty)?\.(png|jpg)|(^|/){re.escape(CONTACT_SHEET)})$")
_MAX_NAME_BYTES = 180  # of the 255 that file systems allow; endings and storage's temporary names need the rest


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotoFile:
    """One photo to color.

    Attributes:
      path: where the photo lies, local or gs://.
      name: the name of its results below the output folder, with '/' and without suffix, as in `<name>_sample0.png`.
        No two photos of a command have the same name, even if the file system ignores capital letters.
    """

    path: str
    name: str


def find_photos(inputs: tuple[str, ...], out: str) -> list[PhotoFile]:
    """Finds the photos of all inputs, each once, in the given order. Within a folder or pattern it sorts by name.

    It takes a single file whatever its name is. From folders (searched recursively) and patterns, it takes the files
    with an image's suffix, except results of an earlier run that lie in `out`.

    Args:
      inputs: files, folders and patterns, local or gs://.
      out: output folder.
    Raises:
      UserError: an input does not exist, or holds or matches no image.
    """
    found: dict[str, tuple[str, str]] = {}  # by absolute path, so that no photo is taken twice
    for source in inputs:
        storage.check_access(source)
        for path, place in _find(source, out, alone=len(inputs) == 1):
            found.setdefault(_absolute(path), (path, place))
    names = _names({absolute: place for absolute, (_, place) in found.items()})
    return [PhotoFile(path=path, name=names[absolute]) for absolute, (path, _) in found.items()]


def _find(source: str, out: str, alone: bool) -> list[tuple[str, str]]:
    """Finds (path, place below the output folder with suffix) of the photos of one input."""
    if not is_pattern(source) and not storage.is_folder(source):
        if not storage.exists(source):
            nothing = "matches no file" if any(sign in source for sign in "*?[") else "no such file or folder"
            raise UserError(f"{source}: {nothing}")
        return [(source, source.rpartition("/")[2])]
    folder, listed = list_matching(source)
    photos = [
        name
        for name, _ in listed
        if name.lower().endswith(IMAGE_SUFFIXES)
        and "__MACOSX/" not in name
        and not name.rpartition("/")[2].startswith("._")  # files that macOS adds on disks of other systems
        and not (_MADE.search(name) and _is_below(storage.join(folder, name), out))
    ]
    if not photos:
        what = "matches" if is_pattern(source) else "holds"
        raise UserError(f"{source}: {what} no images (looked for {' '.join(IMAGE_SUFFIXES)})")
    # With several inputs, each keeps its folder's name, so that results from different inputs lie apart too.
    before = "" if alone else _absolute(folder).rpartition("/")[2] + "/"
    return [(storage.join(folder, name), before + name) for name in photos]


def _names(places: dict[str, str]) -> dict[str, str]:
    """Finds distinct names of results by path. A name is as short as the other photos of the command allow.

    It first tries a name without suffix, then with suffix (a.jpg beside a.png), then with more and more of the path.
    """
    tried = {path: _candidates(path, place) for path, place in places.items()}
    level = dict.fromkeys(places, 0)
    names = {}
    for _ in range(max(map(len, tried.values()))):
        names = {path: tried[path][level[path]] for path in places}
        count = collections.Counter(name.casefold() for name in names.values())
        stuck = [path for path, name in names.items() if count[name.casefold()] > 1]
        if not stuck:
            return names
        for path in stuck:
            level[path] = min(level[path] + 1, len(tried[path]) - 1)
    return names


def _candidates(path: str, place: str) -> list[str]:
    parts, within = _parts(path.removeprefix(storage.GCS_PREFIX)), _parts(place)
    *folders, file = within
    stem = file.rpartition(".")[0]
    names = ["/".join([*folders, stem if stem.strip(".") else file]), "/".join(within)]
    names += ["/".join(parts[-count:]) for count in range(len(within) + 1, len(parts) + 1)]
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()
    return [_shortened(name, digest[:8]) for name in [*names, f"{names[0]}_{digest[:8]}"]]


def _parts(path: str) -> list[str]:
    """Splits a path into folders and file, printable as UTF-8. Object names may hold '..', or '/' next to '/'."""
    readable = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return [part for part in readable.split("/") if part not in ("", ".", "..")]


def _shortened(name: str, digest: str) -> str:
    folder, slash, file = name.rpartition("/")
    encoded = file.encode()
    if len(encoded) <= _MAX_NAME_BYTES:
        return name
    return f"{folder}{slash}{encoded[:_MAX_NAME_BYTES].decode('utf-8', 'ignore')}_{digest}"


def _is_below(path: str, folder: str) -> bool:
    return _absolute(path).startswith(_absolute(folder).rstrip("/") + "/")


def _absolute(path: str) -> str:
    return path.rstrip("/") if storage.is_gcs(path) else os.path.abspath(path)
