"""Finding a study on a server, whatever people have renamed there."""

from __future__ import annotations

import re

from coltran.errors import UserError
from human_eval.turkle.client import NotThere
from human_eval.turkle.exported import page_of
from human_eval.turkle.service import Project, TaskBatch, Turkle
from human_eval.turkle.state import PATH, State


def mark(study: str, *, pilot: bool) -> str:
    """What the names and files of a study's project and batches have in common."""
    return f"coltran-study-{study}{'-pilot' if pilot else ''}"


def batch_mark(study: str, raters: int, *, pilot: bool) -> str:
    """The file of a batch: a study has one batch for each number of raters."""
    return f"{mark(study, pilot=pilot)}-{raters}.csv"


def find_project(turkle: Turkle, study: str, state: State) -> Project | None:
    """The study's project; None where the server has none.

    Args:
      turkle: the server.
      study: the study's name.
      state: what is known.
    Raises:
      UserError: the project that is known is gone or is something else, or there are several.
    """

    def is_it(project: Project) -> bool:
        """By its page, or by its file where somebody has edited the page."""
        file = f"{mark(study, pilot=state.pilot)}.html"
        return page_of(project.template) == (study, state.pilot) or project.mark == file

    if state.project is not None:
        try:
            project = turkle.project(state.project)
        except NotThere:
            project = None
        if project is None or not is_it(project):
            what = "is not there any more" if project is None else "is of something else now"
            raise UserError(
                f"{turkle.address}: project {state.project} {what}; remove {state.folder / PATH} to publish anew"
            )
        return project
    found = [project for project in turkle.projects() if is_it(project)]
    if len(found) > 1:
        numbers = " and ".join(str(project.number) for project in found)
        raise UserError(f"{turkle.address}: projects {numbers} are both of this study; delete the one without answers")
    return found[0] if found else None


def find_batches(turkle: Turkle, project: Project, study: str, *, pilot: bool) -> dict[int, TaskBatch]:
    """The study's batches by the number of raters that their tasks were published for.

    Raises:
      UserError: two for one number, one whose number was changed, or one that `publish` did not make.
    """
    pattern = re.compile(re.escape(mark(study, pilot=pilot)) + r"-(\d+)\.csv")
    batches: dict[int, TaskBatch] = {}
    for batch in turkle.batches(project.number):
        found = pattern.fullmatch(batch.mark)
        where = f"{turkle.address}: batch {batch.number}"
        if found is None:
            raise UserError(
                f"{where} in project {project.number} was not made by `coltran-study publish`; move it to a project of "
                "its own, or delete it, so that no form is published twice"
            )
        raters = int(found[1])
        if raters in batches:
            raise UserError(
                f"{where} is a second one like batch {batches[raters].number}; delete the one without answers"
            )
        if batch.raters != raters:
            raise UserError(
                f"{where} has {batch.raters} assignments a task, the study needs {raters}; set it right there"
            )
        batches[raters] = batch
    return batches


def published(turkle: Turkle, study: str, state: State) -> dict[int, TaskBatch]:
    """As `find_batches`; raises UserError where nothing is published."""
    project = find_project(turkle, study, state)
    batches = {} if project is None else find_batches(turkle, project, study, pilot=state.pilot)
    if not batches:
        what = "nothing of a pilot" if state.pilot else "nothing of this study"
        raise UserError(f"{turkle.address}: {what} is published there yet; `coltran-study publish` does it")
    return batches
