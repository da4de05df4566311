"""Publish a study's forms on a Turkle server: one project, and in it one batch with a task for each form.

    coltran-study export --study study --format turkle --image_url https://images.example.org/study/
    export TURKLE_TOKEN=...          # of a staff account; or --token_file FILE
    coltran-study publish --study study --turkle https://turkle.example.org/

Each task gets as many assignments as the study wants ratings of a form. A run that was killed can be repeated, and so
can a run that was not: no form is published twice, even where private/turkle.json was lost, and forms that `top_up`
added come to those that are there. Raters see a batch when all its forms are in it. What was exported with --pilot has
a project of its own.
"""

from __future__ import annotations

import dataclasses
import pathlib

from coltran import cli
from coltran.options import option
from human_eval.commands.export import task_text
from human_eval.design import leak_audit
from human_eval.folder import layout
from human_eval.turkle import state as turkle_state
from human_eval.turkle.arguments import ServerFlags
from human_eval.turkle.connection import connect
from human_eval.turkle.exported import Plan, people_count, read_plan
from human_eval.turkle.publication import missing_forms, publish


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(ServerFlags):
    """The command's options."""

    hours: int = option(2, parse=cli.positive, help="a rater's time for a form; who takes longer loses the place")
    dry_run: bool = option(False, help="only say what would be published")


def run(options: Options) -> None:
    """Publishes all forms that are not yet published."""
    folder = pathlib.Path(options.study)
    plan = _plan(folder)
    what = "pilot" if plan.pilot else "study"
    if options.dry_run:
        turkle, known = connect(options, pilot=plan.pilot)
        missing = missing_forms(turkle, plan, known)
        print(
            f"{what}: {len(missing)} of {len(plan.tasks)} forms to publish at {turkle.address}; nothing was published"
        )
        return
    with turkle_state.only_one(folder):
        turkle, known = connect(options, pilot=plan.pilot)
        batches = publish(turkle, plan, known, hours=options.hours)
    rows: list[tuple[str, object]] = [("project", f"{known.project} at {turkle.address}")]
    for one in batches:
        new = f"{people_count(one.new)} added" if one.new else "nothing to add"
        text = f"{one.batch}: {new}, {one.before} there before; {one.raters} assignments each"
        rows.append(("batch", text + ("; CLOSED: raters do not see it" if one.closed else "")))
    pilot = " --pilot" if plan.pilot else ""
    rows.append(("next", f"coltran-study status --study {folder} --turkle {turkle.address}{pilot}"))
    new_forms = sum(len(one.new) for one in batches)
    print(f"{what}: {new_forms} of {len(plan.tasks)} forms were published now, {len(plan.tasks)} are there")
    print(cli.table(rows))
    if _share_photos(folder):
        print(
            "some forms show the same photos: only a rater's first rating of a photo counts, so many raters are needed"
        )


def _share_photos(folder: pathlib.Path) -> bool:
    keys = [key for form in layout.load_design(folder).forms for key in form.keys]
    return len(set(keys)) < len(keys)


def _plan(folder: pathlib.Path) -> Plan:
    """Returns what to publish. It raises a UserError if the export does not match the design or has a leak."""
    design = layout.load_design(folder)
    secret = layout.load_names_key(folder, design)
    plan = read_plan(folder, design, ((form.number, task_text(secret, form)) for form in design.forms))
    leak_audit.refuse_leaks(folder, design)
    return plan
