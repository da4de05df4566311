"""Reads what `coltran-study export --format turkle` wrote, checks it against the design, and plans what to publish."""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from coltran.errors import UserError
from human_eval.answers.ratings import read_rows
from human_eval.folder.layout import StudyDesign

FOLDER = "turkle"
_STUDY = re.compile(r'<script type="application/json" id="study">(.*?)</script>', re.DOTALL)
_AGAIN = "`coltran-study export --format turkle` writes it"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A form as a task of a batch, with its number, the number of raters that it needs, and its pairs as text."""

    form: int
    raters: int
    trials: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What the server should have.

    Attributes:
      study: name of the study.
      pilot: whether the answers belong to a trial run.
      title: the title that raters see. It is ASCII, because a server repeats it in its results (see ascii_answers.js).
      template: HTML of the project.
      tasks: one for each form.
    """

    study: str
    pilot: bool
    title: str
    template: str
    tasks: tuple[Task, ...]

    def by_raters(self) -> dict[int, list[Task]]:
        """Groups the tasks by the number of raters that they need. A batch has one number for all its tasks."""
        groups: dict[int, list[Task]] = {}
        for task in self.tasks:
            groups.setdefault(task.raters, []).append(task)
        return groups


def page_of(template: str) -> tuple[str, bool] | None:
    """Returns (study, whether it is a pilot) from an exported template, or None for any other text."""
    found = _STUDY.search(template)
    try:
        about = json.loads(found[1] if found else "")
        return str(about["study"]), about["pilot"] is True
    except (ValueError, KeyError, TypeError):
        return None


def same_template(one: str, other: str) -> bool:
    """Says whether two templates are equal, apart from line ends and outer spaces, which servers change."""
    first, second = ("\n".join(text.split("\r\n")).strip() for text in (one, other))
    return first == second


def read_plan(study: pathlib.Path, design: StudyDesign, expected: Iterable[tuple[int, str]]) -> Plan:
    """Reads the plan for a study that was exported for Turkle.

    Args:
      study: the study folder.
      design: the study's design.
      expected: (form, its pairs as text) for each form of the design, as an export would write them today.

    Raises:
      UserError: nothing was exported, or the exported forms are not those of the design.
    """
    template_path, batch_path = study / FOLDER / "template.html", study / FOLDER / "batch.csv"
    for path in (template_path, batch_path):
        if not path.is_file():
            raise UserError(f"{path}: no such file; {_AGAIN}")
    template = template_path.read_text("utf-8")
    page = page_of(template)
    if page is None or page[0] != design.study:
        raise UserError(f"{template_path}: is no page of this study; {_AGAIN}")
    rows = [cells for _, cells in read_rows(batch_path.read_bytes(), str(batch_path)) if cells]
    expected = list(expected)
    if rows[1:] != [[str(form), trials] for form, trials in expected]:
        raise UserError(f"{batch_path}: its forms are not those of the design; {_AGAIN} anew")
    raters = {form.number: form.raters for form in design.forms}
    return Plan(
        study=design.study,
        pilot=page[1],
        title=_ascii(design.title),
        template=template.rstrip() + "\n" + _ascii_answers(),
        tasks=tuple(Task(form=form, raters=raters[form], trials=trials) for form, trials in expected),
    )


def people_count(forms: Sequence[int]) -> str:
    """Names forms as people count them, from 1: `form 2`, or `forms 2, 3`."""
    names = ", ".join(str(form + 1) for form in forms)
    return f"form{'s' if len(forms) > 1 else ''} {names}"


def _ascii_answers() -> str:
    program = (importlib.resources.files("human_eval.turkle") / "ascii_answers.js").read_text("utf-8")
    return f"<script>\n{program}</script>\n"


def _ascii(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().split())
