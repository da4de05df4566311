"""Publishes a study. Every step looks at what the server has, so you can kill and repeat it at any point.

A new batch has no tasks and is closed. Forms are added one by one. The batch is opened when each form is there exactly
once. So no rater sees half a batch, and if a form came twice, this is found before anybody can take it.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from coltran.errors import UserError
from human_eval.turkle.client import Unanswered
from human_eval.turkle.exported import Plan, Task, people_count, same_template
from human_eval.turkle.search import batch_mark, find_batches, find_project, mark
from human_eval.turkle.service import Project, TaskBatch, Turkle
from human_eval.turkle.state import State

_TRIES = 3
_Made = TypeVar("_Made")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """The result of publishing one batch.

    Attributes:
      batch: number of the batch.
      raters: number of raters for each of its forms.
      new: forms that were added.
      before: how many forms were there already.
      closed: whether somebody closed it, so that raters do not see it.
    """

    batch: int
    raters: int
    new: tuple[int, ...]
    before: int
    closed: bool


def publish(turkle: Turkle, plan: Plan, state: State, *, hours: int) -> list[Published]:
    """Brings everything that is missing to the server.

    Args:
      turkle: the server.
      plan: what the server should have.
      state: what is known about the study there. It is kept up to date on the disk.
      hours: how long a rater has for a form.

    Returns:
      One item for each batch.

    Raises:
      UserError: the server refuses, or has something that does not fit the plan. A repetition goes on from there.
    """
    project = _project(turkle, plan, state, hours)
    groups = plan.by_raters()
    batches = find_batches(turkle, project, plan.study, pilot=plan.pilot)
    _refuse_strange_batches(turkle, batches, groups)
    return [_batch(turkle, plan, project, raters, tasks, state, hours) for raters, tasks in sorted(groups.items())]


def missing_forms(turkle: Turkle, plan: Plan, state: State) -> list[int]:
    """Returns the forms that `publish` would add. It raises the same errors, but changes nothing."""
    project = find_project(turkle, plan.study, state)
    batches = {}
    if project is not None:
        _check_template(turkle, plan, project)
        batches = find_batches(turkle, project, plan.study, pilot=plan.pilot)
    groups = plan.by_raters()
    _refuse_strange_batches(turkle, batches, groups)
    missing: list[int] = []
    for raters, tasks in groups.items():
        missing += (
            [task.form for task in _missing(turkle, batches[raters], tasks)]
            if raters in batches
            else [task.form for task in tasks]
        )
    return sorted(missing)


def _refuse_strange_batches(
    turkle: Turkle, batches: Mapping[int, TaskBatch], groups: Mapping[int, Sequence[Task]]
) -> None:
    """Raises a UserError if a batch has tasks for a number of raters that no form of the study wants."""
    for raters in sorted(set(batches) - set(groups)):
        if turkle.tasks(batches[raters].number):
            raise UserError(f"{turkle.address}: batch {batches[raters].number} has forms that the study has not")


def _project(turkle: Turkle, plan: Plan, state: State, hours: int) -> Project:
    def find() -> Project | None:
        return find_project(turkle, plan.study, state)

    def make() -> Project:
        return turkle.make_project(
            name=_name(plan),
            mark=f"{mark(plan.study, pilot=plan.pilot)}.html",
            template=plan.template,
            raters=max(plan.by_raters()),
            hours=hours,
        )

    project = find() or _once(turkle, make, find)
    _check_template(turkle, plan, project)
    state.project = project.number
    state.save()
    return project


def _check_template(turkle: Turkle, plan: Plan, project: Project) -> None:
    if not same_template(project.template, plan.template):
        raise UserError(
            f"{turkle.address}: project {project.number} has another page than turkle/template.html; export again with "
            "the texts and addresses of then, so that all raters see one page"
        )


def _batch(
    turkle: Turkle, plan: Plan, project: Project, raters: int, tasks: Sequence[Task], state: State, hours: int
) -> Published:
    def find() -> TaskBatch | None:
        return find_batches(turkle, project, plan.study, pilot=plan.pilot).get(raters)

    def make() -> TaskBatch:
        file = batch_mark(plan.study, raters, pilot=plan.pilot)
        name = f"{_name(plan)}, {raters} rater{'s' if raters > 1 else ''} a form"
        return turkle.make_batch(project.number, name=name, mark=file, raters=raters, hours=hours)

    batch = find() or _once(turkle, make, find)
    missing = _missing(turkle, batch, tasks)
    for task in missing:
        _add(turkle, batch, task)
    left = _missing(turkle, batch, tasks) if missing else []
    if left:
        raise UserError(
            f"{turkle.address}: batch {batch.number} does not show {people_count([task.form for task in left])} yet; "
            "publish again"
        )
    opened = batch.active or _open(turkle, batch, state)
    if opened and batch.number not in state.opened:
        state.opened.add(batch.number)
        state.save()
    return Published(
        batch=batch.number,
        raters=raters,
        new=tuple(task.form for task in missing),
        before=len(tasks) - len(missing),
        closed=not opened,
    )


def _missing(turkle: Turkle, batch: TaskBatch, tasks: Sequence[Task]) -> list[Task]:
    """Returns the tasks that a batch lacks.

    Raises:
      UserError: the batch has a form twice, or a form that is not one of these tasks.
    """
    there = collections.Counter(turkle.tasks(batch.number))
    wanted = {(task.form, task.trials) for task in tasks}
    where = f"{turkle.address}: batch {batch.number}"
    for (form, trials), count in there.items():
        if (form, trials) not in wanted:
            raise UserError(
                f"{where} has a form {form + 1} that is not this study's; delete the batch, or restore the study"
            )
        if count > 1:
            raise UserError(
                f"{where} has form {form + 1} {count} times; delete the batch on its admin page before raters take "
                "it, and publish again"
            )
    return [task for task in tasks if (task.form, task.trials) not in there]


def _add(turkle: Turkle, batch: TaskBatch, task: Task) -> None:
    def add() -> bool:
        turkle.add_task(batch.number, task.form, task.trials)
        return True

    _once(turkle, add, lambda: (task.form, task.trials) in turkle.tasks(batch.number) or None)


def _open(turkle: Turkle, batch: TaskBatch, state: State) -> bool:
    """Lets raters see a batch, unless somebody closed it after it was open. Returns whether they see it."""
    if batch.number in state.opened or turkle.finished(batch.number):
        return False

    def activate() -> bool:
        turkle.activate(batch.number)
        return True

    return _once(turkle, activate, lambda: None)  # Opening it twice does no harm.


def _once(turkle: Turkle, make: Callable[[], _Made], find: Callable[[], _Made | None]) -> _Made:
    """Makes what is missing. After a request without an answer, it makes it again only if it cannot be found."""
    for attempt in range(_TRIES):
        try:
            return make()
        except Unanswered:
            turkle.wait(attempt)
            found = find()
            if found is not None:
                return found
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _name(plan: Plan) -> str:
    return f"{plan.title} [{mark(plan.study, pilot=plan.pilot)}]".strip()
