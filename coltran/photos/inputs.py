"""Finds the photos that a command line means, and names their results."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
from collections.abc import Mapping

from coltran import storage
from coltran.errors import UserError
from coltran.file_patterns import is_pattern, list_matching
from coltran.images.formats import has_image_suffix, heic_hint, known_formats
from coltran.photos import outputs
from coltran.walking import describe_passed_over, suffix_reason

GIVEN_TWICE, RESULT = "given twice", "result of an earlier run"
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundPhotos:
    """The photos that a command line means, and by reason the number of the other files that its folders hold."""

    photos: tuple[PhotoFile, ...]
    passed_over: Mapping[str, int]


def find_photos(inputs: tuple[str, ...], out: str, *, skip_unreadable: bool = False) -> FoundPhotos:
    """Finds the photos of all inputs, each once, in the given order. Within a folder or pattern it sorts by name.

    It takes a single file whatever its name is. From folders (searched recursively) and patterns, it takes the files
    with an image's suffix, except results of an earlier run that lie in `out`.

    Args:
      inputs: files, folders and patterns, local or gs://.
      out: output folder.
      skip_unreadable: whether to count folders that cannot be read, instead of raising an error.
    Raises:
      UserError: an input does not exist, or holds or matches no image, or a folder cannot be read.
    """
    for source in inputs:
        storage.check_access(source)
    results = {_absolute(storage.join(out, name)) for name in outputs.earlier(out)}
    passed_over: collections.Counter[str] = collections.Counter()
    found: dict[str, tuple[str, str]] = {}  # by absolute path, so that no photo is taken twice
    for source in inputs:
        for path, place in _find(source, results, passed_over, alone=len(inputs) == 1, skip_unreadable=skip_unreadable):
            if found.setdefault(_absolute(path), (path, place)) != (path, place):
                passed_over[GIVEN_TWICE] += 1
    names = _names({absolute: place for absolute, (_, place) in found.items()})
    photos = tuple(PhotoFile(path=path, name=names[absolute]) for absolute, (path, _) in found.items())
    return FoundPhotos(photos=photos, passed_over=dict(passed_over))


def _find(
    source: str, results: set[str], passed_over: collections.Counter[str], *, alone: bool, skip_unreadable: bool
) -> list[tuple[str, str]]:
    """Finds (path, place below the output folder with suffix) of one input's photos, and counts its other files."""
    if not is_pattern(source) and not storage.is_folder(source):
        if not storage.exists(source):
            nothing = "matches no file" if any(sign in source for sign in "*?[") else "no such file or folder"
            raise UserError(f"{source}: {nothing}")
        return [(source, source.rpartition("/")[2])]
    folder, walk = list_matching(source, takes=has_image_suffix, skip_unreadable=skip_unreadable)
    passed_over.update(walk.passed_over)
    photos = []
    for name, _ in walk.files:
        if _absolute(storage.join(folder, name)) in results:
            passed_over[RESULT] += 1
        elif has_image_suffix(name):
            photos.append(name)
        else:
            passed_over[suffix_reason(name)] += 1
    if not photos:
        what = "matches" if is_pattern(source) else "holds"
        counted = describe_passed_over(passed_over)
        rest = f"; {counted}{heic_hint(passed_over)}" if counted else ""
        raise UserError(f"{source}: {what} no images (looked for {', '.join(known_formats())}){rest}")
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


def _absolute(path: str) -> str:
    return path.rstrip("/") if storage.is_gcs(path) else os.path.abspath(path)
