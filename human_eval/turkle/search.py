"""Finds a study on a server, even if people have renamed things there."""

from __future__ import annotations

import re

from coltran.errors import UserError
from human_eval.turkle.client import NotThere
from human_eval.turkle.exported import page_of
from human_eval.turkle.service import Project, TaskBatch, Turkle
from human_eval.turkle.state import PATH, State


def mark(study: str, *, pilot: bool) -> str:
    """Returns the text that the names and files of a study's project and batches have in common."""
    return f"coltran-study-{study}{'-pilot' if pilot else ''}"


def batch_mark(study: str, raters: int, *, pilot: bool) -> str:
    """Returns the file name of a batch. A study has one batch for each number of raters."""
    return f"{mark(study, pilot=pilot)}-{raters}.csv"


def find_project(turkle: Turkle, study: str, state: State) -> Project | None:
    """Finds the study's project. Returns None if the server has none.

    Args:
      turkle: the server.
      study: the study's name.
      state: what is known about the study there.

    Raises:
      UserError: the known project is gone or is something else, or there are several projects.
    """

    def is_it(project: Project) -> bool:
        """Recognizes the project by its page, or by its file if somebody has edited the page."""
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
    """Finds the study's batches by the number of raters that their tasks were published for.

    Raises:
      UserError: two batches have the same number, a batch's number was changed, or `publish` did not make a batch.
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
    """Finds the study's batches like `find_batches`. It raises a UserError if nothing is published."""
    project = find_project(turkle, study, state)
    batches = {} if project is None else find_batches(turkle, project, study, pilot=state.pilot)
    if not batches:
        what = "nothing of a pilot" if state.pilot else "nothing of this study"
        raise UserError(f"{turkle.address}: {what} is published there yet; `coltran-study publish` does it")
    return batches
