"""Looks for anything that raters may see and that tells them which image is real."""

from __future__ import annotations

import pathlib
import re
import struct
from collections.abc import Iterator, Sequence

from coltran import storage
from coltran.errors import UserError
from human_eval.answers import key as answer_key
from human_eval.folder import layout, opaque_files
from human_eval.folder.layout import StudyDesign
from human_eval.page import mturk_questions, render as rater_page

OUTSIDE = ("public", "mturk", "turkle")  # These folders of a study go to other people.
_TEXTS = (".html", ".csv", ".xml")
_OPAQUE = re.compile(r"[0-9a-f]{24}\.png")
# Every page and batch has its trials in this form: a number and opaque names, which may contain a short key by chance.
_TRIAL = re.compile(
    rb'\{"trial":\d+,"images":\["[0-9a-f]{24}\.png","[0-9a-f]{24}\.png"\](,"practice":true,"fake":"[0-9a-f]{24}\.png")?\}'
    rb"|\b\d+:[0-9a-f]{24}:[0-9a-f]{24}(:[01])?\b"
)
_WNID = re.compile(rb"n\d{8}")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNKS = {b"IHDR", b"IDAT", b"IEND", opaque_files.PADDING_CHUNK}


def refuse_leaks(folder: pathlib.Path, design: StudyDesign) -> None:
    """Raises a UserError if a study folder has leaks."""
    leaks = list(find_leaks(folder, design))
    if leaks:
        raise UserError(
            f"{folder}: the leak audit found {len(leaks)} leaks, first: {leaks[0]}; do not show this folder to raters"
        )


def find_leaks(folder: pathlib.Path, design: StudyDesign) -> Iterator[str]:
    """Yields one line for each leak.

    Args:
      folder: the study folder. Its secret and everything that raters may see are read.
      design: the design with all forms.
    """
    secret = (folder / layout.SECRET).read_bytes()
    words = _telling_words(design, secret)
    for outside in OUTSIDE:
        for path in sorted((folder / outside).rglob("*")):
            if path.is_file() and path.suffix in _TEXTS:
                data = _TRIAL.sub(b" ", path.read_bytes())
                yield from (f"{path.name}: holds {what} {word.decode()}" for word, what in words if _holds(data, word))
                yield from (f"{path.name}: holds the class {found.decode()}" for found in set(_WNID.findall(data)))
            elif path.is_file() and path.parent != folder / layout.IMAGES and outside == "public":
                yield f"{path.name}: is neither a page nor an image of a trial"
    times = {path.stat().st_mtime_ns for path in (folder / "public").rglob("*")}
    if len(times) > 1:
        yield f"{folder / 'public'}: {len(times)} different time stamps"
    yield from _unequal_files(folder, design, secret)


def remove_strangers(folder: pathlib.Path, design: StudyDesign) -> None:
    """Removes images that belong to no trial. An interrupted top-up with another list can leave such images."""
    images = folder / layout.IMAGES
    if design.sources["images"] or not images.is_dir():
        return
    secret = (folder / layout.SECRET).read_bytes()
    known = {name for _, pair in layout.image_pairs(secret, design.forms) for name in pair}
    for path in images.iterdir():
        if path.name not in known and _OPAQUE.fullmatch(path.name):
            path.unlink()


def _holds(data: bytes, word: bytes) -> bool:
    if word not in data:
        return False
    return re.search(rb"(?<![0-9A-Za-z_])" + re.escape(word) + rb"(?![0-9A-Za-z_])", data) is not None


def _telling_words(design: StudyDesign, secret: bytes) -> list[tuple[bytes, str]]:
    words = {secret.hex(): "the secret"}
    for trial in (trial for form in design.forms for trial in form.trials):
        for word in (trial.key, trial.key.rpartition("/")[2]):
            words[word] = "the source name"
        # The default name of a single model tells nothing, and instructions may use this word.
        if trial.model != answer_key.DEFAULT_MODEL:
            words[trial.model] = "the model"
    # A key that is a word of our own page, such as `image`, does not tell anything either.
    ours = rater_page.own_text() + mturk_questions.own_text()
    long = [(word.encode(), what) for word, what in sorted(words.items()) if len(word) > 3]
    return [(word, what) for word, what in long if not _holds(ours, word)]


def _unequal_files(folder: pathlib.Path, design: StudyDesign, secret: bytes) -> Iterator[str]:
    images = str(design.sources["images"] or folder / layout.IMAGES)
    sizes = dict(storage.list_files(images)) if storage.is_folder(images) else {}
    known: set[str] = set()
    for trial, pair in layout.image_pairs(secret, design.forms):
        known.update(pair)
        missing = [name for name in pair if name not in sizes]
        if missing:
            yield f"trial {trial.id}: no file {missing[0]}"
        elif sizes[pair[0]] != sizes[pair[1]]:
            yield f"trial {trial.id}: its two files differ in length"
        elif not storage.is_gcs(images):  # On GCS we trust the writer, which makes both alike, and move no bytes.
            yield from _telling_chunks(pathlib.Path(images), pair)
    yield from (
        f"{name}: belongs to no trial (of an interrupted top-up? run it again)"
        for name in sorted(sizes)
        if name not in known
    )


def _telling_chunks(images: pathlib.Path, pair: Sequence[str]) -> Iterator[str]:
    headers = set()
    for name in pair:
        data, place = (images / name).read_bytes(), len(_SIGNATURE)
        headers.add(data[:33])  # These bytes are the signature and IHDR, with size, depth and color type.
        while place + 8 <= len(data):
            length, kind = struct.unpack_from(">I4s", data, place)
            if kind not in _CHUNKS:
                yield f"{name}: holds metadata ({kind.decode('latin-1')})"
            place += length + 12
    if len(headers) > 1:
        yield f"{pair[0]} and {pair[1]}: differ in size or kind"
