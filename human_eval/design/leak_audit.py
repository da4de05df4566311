"""Looks for anything that raters may see and that tells them which image is real."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Sequence

from coltran import storage
from coltran.errors import UserError
from coltran.records import partition
from human_eval.answers import key as answer_key
from human_eval.design import attacker, visible_facts
from human_eval.design.attacker import Attack
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
_CHUNKS = ("IHDR", "IDAT", "IEND")
_MOST_PAIRS = 200  # The attacker looks at so many pairs, chosen by hash. More would only take longer.
RESULT = pathlib.PurePath("private", "audit.json")


def refuse_leaks(folder: pathlib.Path, design: StudyDesign) -> Attack | None:
    """Returns what the attacker reached (None if it cannot see the images), and keeps it in private/audit.json.

    Raises:
      UserError: the folder has leaks.
    """
    leaks = list(find_leaks(folder, design))
    if leaks:
        raise UserError(
            f"{folder}: the leak audit found {len(leaks)} leaks, first: {leaks[0]}; do not show this folder to raters"
        )
    found = attack_images(folder, design)
    if found is not None and found.found:
        raise UserError(f"{folder}: {describe(found)}; do not show this folder to raters")
    layout.private_file(folder / RESULT, json.dumps(dataclasses.asdict(found) if found else None, indent=1).encode())
    return found


def read_result(folder: pathlib.Path) -> Attack | None:
    """Reads what the attacker reached when the study was audited last. Returns None if it could not attack."""
    path = folder / RESULT
    found = json.loads(path.read_bytes()) if path.is_file() else None
    return Attack(**found) if found else None


def describe(found: Attack | None) -> str:
    """Returns what the attacker reached as a sentence."""
    if found is None:
        return "leak audit: nothing found; the attacker does not see images on gs://, whose order the writer keeps"
    if found.found:
        return (
            f"the leak audit's attacker tells the photo from the colorization without the pixels: AUC {found.auc:.3f} "
            f"on half of {found.pairs} pairs (chance: 0.5 +- {found.auc_bound:.3f}), most by the fact "
            f"'{found.strongest}' (AUC {found.strongest_auc:.3f}, chance: 0.5 +- {found.strongest_bound:.3f})"
        )
    return (
        f"leak audit: nothing found; without the pixels an attacker reaches AUC {found.auc:.3f} on half of "
        f"{found.pairs} pairs (chance: 0.5 +- {found.auc_bound:.3f}, {found.facts} facts differ)"
    )


def attack_images(folder: pathlib.Path, design: StudyDesign) -> Attack | None:
    """Attacks the images of a study with everything but their pixels. Returns None if they are on gs://."""
    images = str(design.sources.get("images") or folder / layout.IMAGES)
    if storage.is_gcs(images):
        return None
    key = layout.load_names_key(folder, design)
    numbers = (str(trial.id) for form in design.forms for trial in form.trials)
    chosen = set(partition.shuffled(numbers, 0)[:_MOST_PAIRS])
    pairs: list[tuple[str, str]] = []
    places: dict[str, int] = {}
    for form in design.forms:
        for trial in form.trials:
            if str(trial.id) in chosen:
                pairs.append(opaque_files.names_of(key, trial.id))
                places |= {name: len(places) + place for place, name in enumerate(layout.listed_pair(key, trial))}
    names = [name for pair in pairs for name in pair]
    facts = visible_facts.of_files(pathlib.Path(images), names)
    for name in names:
        facts[name]["place in the page"] = places[name]
    return attacker.attack(facts, pairs)


def find_leaks(folder: pathlib.Path, design: StudyDesign) -> Iterator[str]:
    """Yields one line for each leak.

    Args:
      folder: the study folder. Its secret and everything that raters may see are read.
      design: the design with all forms.
    """
    words = _telling_words(design, layout.load_secret(folder / layout.SECRET))
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
    yield from _unequal_files(folder, design, layout.load_names_key(folder, design))


def remove_strangers(folder: pathlib.Path, design: StudyDesign) -> None:
    """Removes images that belong to no trial. An interrupted top-up with another list can leave such images."""
    images = folder / layout.IMAGES
    if design.sources["images"] or not images.is_dir():
        return
    key = layout.load_names_key(folder, design)
    known = {name for _, pair in layout.image_pairs(key, design.forms) for name in pair}
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


def _unequal_files(folder: pathlib.Path, design: StudyDesign, key: bytes) -> Iterator[str]:
    images = str(design.sources["images"] or folder / layout.IMAGES)
    sizes = dict(storage.list_files(images)) if storage.is_folder(images) else {}
    known: set[str] = set()
    lengths: set[int] = set()
    for trial, pair in layout.image_pairs(key, design.forms):
        known.update(pair)
        lengths.update(sizes.get(name, 0) for name in pair)
        missing = [name for name in pair if name not in sizes]
        if missing:
            yield f"trial {trial.id}: no file {missing[0]}"
        elif sizes[pair[0]] != sizes[pair[1]]:
            yield f"trial {trial.id}: its two files differ in length"
        elif not storage.is_gcs(images):  # On GCS we trust the writer, which makes both alike, and move no bytes.
            yield from _telling_chunks(pathlib.Path(images), pair)
    if len(lengths) > 1:
        yield f"{images}: files have {len(lengths)} different lengths"
    yield from (
        f"{name}: belongs to no trial (of an interrupted top-up? run it again)"
        for name in sorted(sizes)
        if name not in known
    )


def _telling_chunks(images: pathlib.Path, pair: Sequence[str]) -> Iterator[str]:
    headers = set()
    for name in pair:
        for kind, content in visible_facts.chunks((images / name).read_bytes()):
            if kind not in _CHUNKS:
                yield f"{name}: holds metadata ({kind})"
            elif kind == "IHDR":
                headers.add(content)  # It has size, depth and color type.
    if len(headers) > 1:
        yield f"{pair[0]} and {pair[1]}: differ in size or kind"
