"""Offers what a study needs from a Turkle 3.1 server's REST API: projects, batches, their tasks, and their results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from coltran.errors import UserError
from human_eval.answers.ratings import read_rows
from human_eval.folder.spreadsheet import csv_bytes
from human_eval.turkle.client import Client, NotThere

# The commands need these parts of the API. The names come from the API's own description.
_NEEDED = (
    "/projects/",
    "/projects/{id}/batches/",
    "/batches/",
    "/batches/{id}/",
    "/batches/{id}/tasks/",
    "/batches/{id}/input/",
    "/batches/{id}/progress/",
    "/batches/{id}/results/",
)
_Made = TypeVar("_Made")
FORM, TRIALS = "form", "trials"  # These are the columns of a batch, as `coltran-study export` writes them.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Project:
    """A template that raters see. `mark` is the name of its file, which people seldom change."""

    number: int
    name: str
    mark: str
    template: str
    active: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskBatch:
    """Tasks of one project that all need the same number of raters."""

    number: int
    name: str
    mark: str
    project: int
    raters: int
    active: bool


class Turkle:
    """The server. Every method raises a UserError if the server refuses or does not answer."""

    def __init__(self, client: Client) -> None:
        """Checks that the server is a Turkle server with the needed API.

        Raises:
          UserError: it is not such a server.
        """
        self._client = client
        try:
            described = client.get("schema/", tries=2)
        except NotThere:
            described = None
        paths = described.get("paths") if isinstance(described, dict) else None
        known = list(paths) if isinstance(paths, dict) else []
        missing = [part for part in _NEEDED if not any(path.endswith(f"/api{part}") for path in known)]
        if missing:
            what = "is no Turkle server" if len(missing) == len(_NEEDED) else f"has no api{missing[0]}"
            raise UserError(f"{client.address}: {what}; expected the REST API of Turkle 3.1")

    @property
    def address(self) -> str:
        """The address of the server, without a last slash."""
        return self._client.address

    def wait(self, attempt: int) -> None:
        """Waits after attempt number `attempt`, from 0, has failed."""
        self._client.wait(attempt)

    def projects(self) -> Iterator[Project]:
        """Yields all projects of the server."""
        for found in self._pages("projects/"):
            yield self._made(_project, found)

    def project(self, number: int) -> Project:
        """Returns one project. It raises NotThere if there is no such project."""
        return self._made(_project, self._client.get(f"projects/{number}/"))

    def batches(self, project: int) -> Iterator[TaskBatch]:
        """Yields all batches of a project."""
        try:
            for found in self._pages(f"projects/{project}/batches/"):
                yield self._made(_batch, found)
        except NotThere:  # Turkle answers this for a project without batches.
            return

    def make_project(self, *, name: str, mark: str, template: str, raters: int, hours: int) -> Project:
        """Makes a project.

        Args:
          name: the name that raters see.
          mark: name of the project's file.
          template: HTML with ${form} and ${trials}.
          raters: number of raters for each task, unless a batch says otherwise.
          hours: how long a rater has for a task.
        """
        about = {"name": name, "filename": mark, "html_template": template, "login_required": True}
        about |= {"assignments_per_task": raters, "allotted_assignment_time": hours}
        return self._made(_project, self._client.post("projects/", about))

    def make_batch(self, project: int, *, name: str, mark: str, raters: int, hours: int) -> TaskBatch:
        """Makes a batch without tasks, with arguments as in `make_project`. Raters do not see it before `activate`."""
        about = {"name": name, "filename": mark, "project": project, "login_required": True, "active": False}
        about |= {"assignments_per_task": raters, "allotted_assignment_time": hours, "csv_text": _csv()}
        return self._made(_batch, self._client.post("batches/", about))

    def activate(self, batch: int) -> None:
        """Lets raters see a batch."""
        self._client.patch(f"batches/{batch}/", {"active": True})

    def add_task(self, batch: int, form: int, trials: str) -> None:
        """Adds one form to a batch.

        Args:
          batch: number of the batch.
          form: number of the form.
          trials: its pairs as text.
        """
        self._client.post(f"batches/{batch}/tasks/", {"csv_text": _csv((form, trials))})

    def tasks(self, batch: int) -> list[tuple[int, str]]:
        """Returns (form, its pairs as text) for every task of a batch."""
        path = f"batches/{batch}/input/"
        rows = [cells for _, cells in read_rows(self._client.get_bytes(path), f"{self.address}/api/{path}") if cells]
        tasks = []
        for row in rows[1:]:
            task = dict(zip(rows[0], row, strict=False))
            if not task.get(FORM, "").isdecimal() or TRIALS not in task:
                raise UserError(f"{self.address}: batch {batch} has a task that is no form of a study")
            tasks.append((int(task[FORM]), task[TRIALS]))
        return tasks

    def finished(self, batch: int) -> int:
        """Returns the number of assignments of a batch that were handed in."""
        progress = self._client.get(f"batches/{batch}/progress/")
        return self._made(lambda found: int(found["total_finished_task_assignments"]), progress)

    def results(self, batch: int) -> bytes:
        """Returns the results CSV of a batch."""
        return self._client.get_bytes(f"batches/{batch}/results/")

    def _pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Yields all items of a list. It does not follow the links to further pages, as they may name another host."""
        page = 1
        while True:
            found = self._client.get(path, {"page": page})
            items, more = self._made(lambda found: (list(found["results"]), bool(found["next"])), found)
            yield from items
            if not more:
                return
            page += 1

    def _made(self, make: Callable[[Any], _Made], found: Any) -> _Made:
        """Returns what `make` reads from an answer. Raises a UserError if another kind or version of server answers."""
        try:
            return make(found)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{self.address}: answers otherwise than Turkle 3.1 does ({error!r})") from None


def _csv(*rows: tuple[int, str]) -> str:
    return csv_bytes((FORM, TRIALS), rows).decode()


def _project(found: Mapping[str, Any]) -> Project:
    return Project(
        number=int(found["id"]),
        name=found["name"],
        mark=found["filename"],
        template=found["html_template"],
        active=found["active"],
    )


def _batch(found: Mapping[str, Any]) -> TaskBatch:
    return TaskBatch(
        number=int(found["id"]),
        name=found["name"],
        mark=found["filename"],
        project=int(found["project"]),
        raters=int(found["assignments_per_task"]),
        active=found["active"] and found["published"],
    )
