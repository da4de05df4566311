"""Looks for anything that raters may see and that would tell them which image is real."""

from __future__ import annotations

import pathlib
import re
import struct
from collections.abc import Iterator

from coltran import storage
from coltran.errors import UserError
from human_eval import answer_key, opaque_files, study_folder
from human_eval.study_folder import StudyDesign

OUTSIDE = ("public", "mturk", "turkle")  # folders of a study that leave the house
_WNID = re.compile(rb"n\d{8}")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNKS = {b"IHDR", b"IDAT", b"IEND", opaque_files.PADDING_CHUNK}


def refuse_leaks(folder: pathlib.Path, design: StudyDesign) -> None:
    """Raises UserError where a study folder has leaks."""
    leaks = list(find_leaks(folder, design))
    if leaks:
        raise UserError(
            f"{folder}: the leak audit found {len(leaks)} leaks, first: {leaks[0]}; do not show this folder to raters"
        )


def find_leaks(folder: pathlib.Path, design: StudyDesign) -> Iterator[str]:
    """One line for each leak that is found.

    Args:
      folder: of the study; its secret and all that raters may see are read.
      design: with all forms.
    """
    secret = (folder / study_folder.SECRET).read_bytes()
    words = _telling_words(design, secret)
    for outside in OUTSIDE:
        paths = sorted((folder / outside).rglob("*"))
        for path in paths:
            if path.is_file() and path.suffix != ".png":
                data = path.read_bytes()
                yield from (f"{path.name}: holds {what} {word.decode()}" for word, what in words if word in data)
                yield from (f"{path.name}: holds the class {found.decode()}" for found in set(_WNID.findall(data)))
        times = {path.stat().st_mtime_ns for path in paths}
        if len(times) > 1:
            yield f"{folder / outside}: {len(times)} different time stamps"
    yield from _unequal_files(folder, design, secret)


def _telling_words(design: StudyDesign, secret: bytes) -> list[tuple[bytes, str]]:
    words = {secret.hex(): "the secret"}
    for trial in (trial for form in design.forms for trial in form.trials):
        for word in (trial.key, trial.key.rpartition("/")[2]):
            words[word] = "the source name"
        # A single model without a name of its own says nothing, and its name is a word that instructions may use.
        if trial.model != answer_key.DEFAULT_MODEL:
            words[trial.model] = "the model"
    return [(word.encode(), what) for word, what in sorted(words.items()) if len(word) > 3]


def _unequal_files(folder: pathlib.Path, design: StudyDesign, secret: bytes) -> Iterator[str]:
    images = str(design.sources["images"] or folder / study_folder.IMAGES)
    sizes = dict(storage.list_files(images)) if storage.is_folder(images) else {}
    known: set[str] = set()
    for trial in (trial for form in design.forms for trial in form.trials):
        pair = [opaque_files.opaque_name(secret, trial.trial, role) for role in opaque_files.ROLES]
        known.update(pair)
        missing = [name for name in pair if name not in sizes]
        if missing:
            yield f"trial {trial.trial}: no file {missing[0]}"
        elif sizes[pair[0]] != sizes[pair[1]]:
            yield f"trial {trial.trial}: its two files differ in length"
        elif not storage.is_gcs(images):  # the writer made both alike; moving all bytes again would say no more
            yield from _telling_chunks(pathlib.Path(images), pair)
    yield from (f"{name}: belongs to no trial" for name in sorted(sizes) if name not in known)


def _telling_chunks(images: pathlib.Path, pair: list[str]) -> Iterator[str]:
    headers = set()
    for name in pair:
        data, place = (images / name).read_bytes(), len(_SIGNATURE)
        headers.add(data[:33])  # signature and IHDR: size, depth, color type
        while place + 8 <= len(data):
            length, kind = struct.unpack_from(">I4s", data, place)
            if kind not in _CHUNKS:
                yield f"{name}: holds metadata ({kind.decode('latin-1')})"
            place += length + 12
    if len(headers) > 1:
        yield f"{pair[0]} and {pair[1]}: differ in size or kind"
