"""A study on disk: what raters may see (public/) and what only the team may see (private/).

public/index.html      the rater page, opened from disk or from any web server
public/images/*.png    opaque names
public/batch.csv       one row a form, in Mechanical Turk's batch format
private/key.csv        mode 0600: which file is what
private/secret         mode 0600: the key of the names
COMPLETED              written last
"""

from __future__ import annotations

import csv
import html
import importlib.resources
import io
import json
import os
import pathlib
import secrets
from collections.abc import Mapping, Sequence

from coltran.record_folder import COMPLETED, Manifest
from human_eval.design import Form, Trial
from human_eval.opaque_files import ROLES, opaque_name

KEY_COLUMNS = ("file", "role", "form", "trial", "key", "sample")
BATCH_COLUMNS = ("form", "trials")
EXPORT = pathlib.PurePath("private", "export.json")
_SAME_TIME = 1_600_000_000  # of every public file, so that no time stamp tells which was written when


def private_file(path: pathlib.Path, data: bytes) -> None:
    """Writes a file that only its owner can read, from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)


def describe_export(options: Mapping[str, object], truth: Manifest, colorized: Manifest) -> bytes:
    """JSON of all that decides on a study: the options, and what the two record folders hold."""
    decisive = {name: value for name, value in options.items() if name not in ("truth", "colorized", "out")}
    fingerprints = {"truth": truth.fingerprint, "colorized": colorized.fingerprint}
    return json.dumps({"options": decisive, "fingerprints": fingerprints}, indent=1, sort_keys=True).encode() + b"\n"


def is_finished(folder: pathlib.Path, described: bytes) -> bool:
    """Whether `folder` holds this very study, exported to its end."""
    made_from = folder / EXPORT
    return (folder / COMPLETED).exists() and made_from.exists() and made_from.read_bytes() == described


def load_secret(path: pathlib.Path) -> bytes:
    """The study's secret; drawn once and kept, so that an interrupted export goes on with the same names."""
    if not path.exists():
        private_file(path, secrets.token_bytes(32))
    return path.read_bytes()


def listed_pair(secret: bytes, trial: Trial) -> list[str]:
    """The two file names of a trial, in the order of the design."""
    names = [opaque_name(secret, trial.trial, role) for role in ROLES]
    return names if trial.truth_first else names[::-1]


def public_forms(secret: bytes, forms: Sequence[Form]) -> list[dict[str, object]]:
    """What the page gets to know of the forms."""
    return [
        {
            "form": form.form,
            "trials": [{"trial": trial.trial, "images": listed_pair(secret, trial)} for trial in form.trials],
        }
        for form in forms
    ]


def batch_csv(secret: bytes, forms: Sequence[Form]) -> bytes:
    """One row a form: its number, and its trials as one JSON variable."""
    rows = [{**form, "trials": json.dumps(form["trials"])} for form in public_forms(secret, forms)]
    return _csv(BATCH_COLUMNS, rows)


def key_csv(secret: bytes, forms: Sequence[Form]) -> bytes:
    """The private answer key: one row an image file."""
    rows = [
        dict(
            zip(
                KEY_COLUMNS,
                (opaque_name(secret, t.trial, role), role, form.form, t.trial, t.key, t.sample),
                strict=True,
            )
        )
        for form in forms
        for t in form.trials
        for role in ROLES
    ]
    return _csv(KEY_COLUMNS, sorted(rows, key=lambda row: row["file"]))


def rater_page(secret: bytes, forms: Sequence[Form], *, name: str, width: int, height: int) -> bytes:
    """The rater page as one HTML file: style, program and forms inside, images beside it.

    Args:
      secret, forms: of the study.
      name: shown as the page's title.
      width, height: of the images, in pixels.
    """
    room = importlib.resources.files("human_eval") / "page"
    study = {"study": name, "width": width, "height": height, "forms": public_forms(secret, forms)}
    page = (room / "rater.html").read_text()
    for mark, text in {
        "/*STYLE*/": (room / "rater.css").read_text(),
        "/*PROGRAM*/": (room / "rater.js").read_text(),
        "/*STUDY*/": json.dumps(study).replace("<", "\\u003c"),  # no text of ours may end the script element
        "<!--NAME-->": html.escape(name),
    }.items():
        page = page.replace(mark, text)
    return page.encode()


def level_times(folder: pathlib.Path) -> None:
    """Gives every file below a folder one and the same time stamp."""
    for path in folder.rglob("*"):
        os.utime(path, (_SAME_TIME, _SAME_TIME))


def _csv(columns: Sequence[str], rows: Sequence[dict]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()
