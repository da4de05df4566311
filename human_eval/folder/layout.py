"""Defines how a study lies on disk. Raters may see public/, and only the team may see private/.

public/images/*.png    image files under opaque names, which every page shows
private/design.json    mode 0600: all forms, and what they were made from
private/key.csv        mode 0600: which file is what
private/secret         mode 0600: the key that the names are made with
private/next/          design.json and key.csv until the images of all their forms are there
private/images/        images on their way to public/images
private/audit.json     mode 0600: what the leak audit's attacker reached
COMPLETED              written last, by `design`
public/index.html, public/batch.csv, mturk/, turkle/     what `export` wrote
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import os
import pathlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coltran.errors import UserError
from coltran.records.folder import COMPLETED
from human_eval.folder.forms import PRACTICE, Form, Trial
from human_eval.folder.opaque_files import ROLES, opaque_name
from human_eval.folder.spreadsheet import csv_bytes

KEY_COLUMNS = ("file", "role", "form", "trial", "key", "sample", "model", "kind")
DESIGN = pathlib.PurePath("private", "design.json")
KEY = pathlib.PurePath("private", "key.csv")
SECRET = pathlib.PurePath("private", "secret")
IMAGES = pathlib.PurePath("public", "images")
NEXT = pathlib.PurePath("private", "next")  # It holds DESIGN and KEY of a design whose images are not all there.
_VERSIONS = (1, 2)  # Since version 2 the names of images depend on the study as well as on the secret.
_HEAD = ("study", "title", "side", "made_from", "sources", "planned")
_TRIAL_FIELDS = tuple(field.name for field in dataclasses.fields(Trial))
_TRIAL_COLUMNS = ("trial", "kind", "model", "key", "sample", "truth_first")  # These are their names in the file.
_SAME_TIME = 1_600_000_000  # All public files get this time stamp, so that it does not tell when each was written.


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyDesign:
    """The content of private/design.json.

    Attributes:
      study: 12 hexadecimal digits that name the study. The name stays when forms are added.
      title: the title of the page.
      side: side of every image, in pixels.
      made_from: the options and the fingerprints of the sources, which together decide all forms.
      sources: where the images lie, as the user gave it.
      planned: number of forms in the first design. Forms that were added for missing ratings come after them.
      forms: the forms, numbered from 0.
      version: version of the file.
      consent: what the consent text says of this study, by field.
    """

    study: str
    title: str
    side: int
    made_from: Mapping[str, Any]
    sources: Mapping[str, Any]
    planned: int
    forms: tuple[Form, ...]
    version: int = _VERSIONS[-1]
    consent: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> bytes:
        """Returns the bytes of the file. A trial is a list of its fields' values, as there may be 100,000 trials."""
        head = {name: getattr(self, name) for name in _HEAD}
        head |= {"consent": dict(self.consent)} if self.consent else {}
        lines = [json.dumps([form.number, form.raters, list(map(_trial_row, form.trials))]) for form in self.forms]
        text = json.dumps({"version": self.version, **head, "trial_fields": _TRIAL_COLUMNS}, indent=1, sort_keys=True)
        return (text[:-2] + ',\n "forms": [\n' + ",\n".join(lines) + "\n]}\n").encode()


def _trial_row(trial: Trial) -> list[object]:
    return [getattr(trial, name) for name in _TRIAL_FIELDS]


def study_id(made_from: Mapping[str, object]) -> str:
    """Returns the name of a study, which is a digest of all that decides its design."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]


def load_design(folder: str | os.PathLike) -> StudyDesign:
    """Reads the design of a finished study folder.

    Raises:
      UserError: the folder is missing or unfinished, or its file is damaged.
    """
    path = pathlib.Path(folder) / DESIGN
    if not path.is_file():
        raise UserError(f"{folder}: is no study folder ({DESIGN} is missing); `coltran-study design` makes one")
    if not (pathlib.Path(folder) / COMPLETED).exists():
        raise UserError(f"{folder}: the design was interrupted; run the same `coltran-study design` again")
    return read_design(path)


def read_design(path: pathlib.Path) -> StudyDesign:
    """Reads a design from its file, even if the folder is unfinished."""
    try:
        found = json.loads(path.read_bytes())
        if found["version"] not in _VERSIONS or tuple(found["trial_fields"]) != _TRIAL_COLUMNS:
            raise UserError(f"{path}: was written by another version of this program; design the study again")
        forms = tuple(
            Form(
                number=form,
                raters=raters,
                trials=tuple(Trial(**dict(zip(_TRIAL_FIELDS, t, strict=True))) for t in rows),
            )
            for form, raters, rows in found["forms"]
        )
        named = {name: found[name] for name in (*_HEAD, "version")} | {"consent": found.get("consent", {})}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error!r}); restore it or design the study again") from None
    return StudyDesign(**named, forms=forms)


def private_file(path: pathlib.Path, data: bytes) -> None:
    """Writes a file that only its owner can ever read. A reader finds either the whole new file or the old one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
    half.replace(path)


def load_secret(path: pathlib.Path) -> bytes:
    """Reads a secret of the study, or draws and keeps one. So an interrupted job goes on with the same names."""
    if not path.exists():
        private_file(path, secrets.token_bytes(32))
    return path.read_bytes()


def names_key(design: StudyDesign, secret: bytes) -> bytes:
    """Returns the key that the names of a study's images are made with.

    Two studies with one secret have different names. Otherwise the feedback of one study's practice would tell the
    roles of files in the other.
    """
    if design.version == 1:
        return secret
    return hmac.new(secret, f"names|{design.study}".encode(), hashlib.sha256).digest()


def load_names_key(folder: str | os.PathLike, design: StudyDesign) -> bytes:
    """Reads the secret of a study folder, and returns its key of names."""
    return names_key(design, load_secret(pathlib.Path(folder) / SECRET))


def listed_pair(secret: bytes, trial: Trial) -> tuple[str, str]:
    """Returns the two file names of a trial, in the order of the design."""
    truth, colorized = (opaque_name(secret, trial.id, role) for role in ROLES)
    return (truth, colorized) if trial.truth_first else (colorized, truth)


def image_pairs(secret: bytes, forms: Sequence[Form]) -> Iterator[tuple[Trial, tuple[str, str]]]:
    """Yields every trial with its two file names, in the order of the design."""
    return ((trial, listed_pair(secret, trial)) for form in forms for trial in form.trials)


def public_form(secret: bytes, form: Form, *, flipped: bool = False) -> dict[str, Any]:
    """Returns what a page may know about a form.

    Args:
      secret: the study's secret.
      form: the form.
      flipped: whether to turn every pair around, as for every second rater of the form.

    Returns:
      `form` and `trials`. Each trial has `trial` and its two `images`. A practice trial also says which is `fake`,
      because the page gives feedback on it. Test and catch trials look alike.
    """
    trials = []
    for trial in form.trials:
        pair = listed_pair(secret, trial)
        shown: dict[str, Any] = {"trial": trial.id, "images": list(pair[::-1] if flipped else pair)}
        if trial.kind == PRACTICE:
            shown |= {"practice": True, "fake": opaque_name(secret, trial.id, "colorized")}
        trials.append(shown)
    return {"form": form.number, "trials": trials}


def key_csv(secret: bytes, forms: Sequence[Form]) -> bytes:
    """Returns the private answer key as CSV. It has one row for each image file, sorted by file name."""
    rows = [
        (opaque_name(secret, t.id, role), role, form.number, t.id, t.key, t.sample, t.model, t.kind)
        for form in forms
        for t in form.trials
        for role in ROLES
    ]
    return csv_bytes(KEY_COLUMNS, sorted(rows))


def level_times(folder: pathlib.Path) -> None:
    """Gives the same time stamp to every file and folder below a folder, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        os.utime(path, (_SAME_TIME, _SAME_TIME))
