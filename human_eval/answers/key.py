"""Reads the private answer key of a study folder. It says which file of each trial is real, and the listed order."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import pathlib
from collections.abc import Mapping

from coltran.errors import UserError
from human_eval.answers.ratings import KINDS
from human_eval.folder.layout import DESIGN, KEY, KEY_COLUMNS, listed_pair, load_names_key, read_design
from human_eval.folder.opaque_files import ROLES
from human_eval.folder.spreadsheet import unescape_formula

DEFAULT_MODEL = "colorized"  # A key without a column `model` gets this model.
DEFAULT_KIND = "test"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One trial of the answer key, with the files of truth and colorization and what they show."""

    trial: int
    form: int
    kind: str
    model: str
    key: str
    sample: int
    truth: str
    colorized: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerKey:
    """All trials of a study.

    Attributes:
      study: name of the study in tables. Without a design beside the key, it is a digest of the key.
      pairs: the pairs by trial number.
      listed: for each form, its trials in the page's order, each (trial number, first file, second file) before any
        flip. It is empty if there is no design.
      form_sizes: for each form, its number of test trials.
      raters: how many ratings each pair should have.
    """

    study: str
    pairs: Mapping[int, Pair]
    listed: Mapping[int, tuple[tuple[int, str, str], ...]]
    form_sizes: Mapping[int, int]
    raters: int = 5


def load(folder: str | pathlib.Path) -> AnswerKey:
    """Reads the answer key of a study folder.

    Raises:
      UserError: there is no such folder or key, or a trial does not have one truth and one colorization.
    """
    path = pathlib.Path(folder) / KEY
    if not path.is_file():
        raise UserError(f"{folder}: is no study folder ({KEY} is missing); give the folder that export wrote")
    key = from_bytes(path.read_bytes(), str(path))
    if not (pathlib.Path(folder) / DESIGN).is_file():
        return key
    design = read_design(pathlib.Path(folder) / DESIGN)
    secret = load_names_key(folder, design)
    listed = {form.number: tuple((t.id, *listed_pair(secret, t)) for t in form.trials) for form in design.forms}
    return dataclasses.replace(key, study=design.study, listed=listed, raters=design.made_from["raters"])


def from_bytes(key: bytes, where: str) -> AnswerKey:
    """Reads the answer key from the bytes of a key.csv alone. It raises the same errors as `load`."""
    rows = list(csv.DictReader(io.StringIO(_text(key, where))))
    if not rows or not set(KEY_COLUMNS[:6]) <= set(rows[0]):
        raise UserError(f"{where}: expected the columns {', '.join(KEY_COLUMNS[:6])} and at least one row")
    by_trial: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_trial.setdefault(row["trial"], []).append(row)
    pairs = [_pair(pair, where) for pair in by_trial.values()]
    sizes: dict[int, int] = {}
    for pair in pairs:
        sizes[pair.form] = sizes.get(pair.form, 0) + (pair.kind == "test")
    return AnswerKey(
        study=hashlib.sha256(key).hexdigest()[:12],
        pairs={pair.trial: pair for pair in pairs},
        listed={},
        form_sizes=sizes,
    )


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UserError(f"{where}: is no text in UTF-8") from None


def _pair(rows: list[dict[str, str]], where: str) -> Pair:
    files = {row["role"]: row["file"] for row in rows}
    name = f"{where}: trial {rows[0]['trial']}"
    if len(rows) != 2 or set(files) != set(ROLES):
        raise UserError(f"{name}: expected one file of each role {' and '.join(ROLES)}, got {len(rows)} rows")
    alike = {tuple(row.get(column) for column in ("form", "key", "sample", "model", "kind")) for row in rows}
    kind = rows[0].get("kind") or DEFAULT_KIND
    if len(alike) != 1 or kind not in KINDS:
        raise UserError(f"{name}: its two rows disagree, or '{kind}' is none of {', '.join(KINDS)}")
    try:
        numbers = {column: int(rows[0][column]) for column in ("trial", "form", "sample")}
    except (TypeError, ValueError):
        raise UserError(f"{name}: trial, form and sample must be whole numbers") from None
    model = unescape_formula(rows[0].get("model") or DEFAULT_MODEL)
    return Pair(
        **numbers,
        kind=kind,
        model=model,
        key=unescape_formula(rows[0]["key"]),
        truth=files["truth"],
        colorized=files["colorized"],
    )
