"""Publish a study's forms on Mechanical Turk: one HIT a form, with as many assignments as the form needs raters.

    coltran-study export --study study --format mturk --image_url https://images.example.org/study/
    coltran-study publish --study study --reward 1.25 --budget 250
    coltran-study publish --study study --reward 1.25 --budget 250 --yes

The second only says what it would do and cost. The third does it, in the sandbox, where nobody is paid; --live is the
real thing. A killed run can be repeated: no form is published twice, and --budget is for what is left. What was
exported with --pilot has HITs of its own. Amazon closed Mechanical Turk on 30 September 2026; see docs/mturk.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import decimal
import json
import pathlib
import re
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError
from human_eval import mturk_hits, mturk_service
from human_eval.design.forms import Form
from human_eval.folder import layout
from human_eval.page import mturk_questions

_CENT = decimal.Decimal("0.01")
_FEE, _FEE_OF_MANY, _MANY = decimal.Decimal("0.2"), decimal.Decimal("0.4"), 10
_REPEATED = "HitAlreadyExists"


def add_options(add) -> None:
    add("--study", required=True, metavar="FOLDER", help="study folder, exported with --format mturk")
    add("--reward", required=True, type=_money, metavar="USD", help="for one form, such as 1.25")
    add("--budget", required=True, type=_money, metavar="USD", help="refuse to spend more in this run, fees included")
    add("--live", action="store_true", help="the real service, where raters are paid (the sandbox)")
    add("--yes", action="store_true", help="do it; without it, only say what would be done")
    add("--dry_run", action="store_true", help="only say what would be done (the default)")
    add("--external", action="store_true", help="publish mturk/external (ExternalQuestion) instead of mturk/questions")
    add("--title", default="Which photo has fake colors?", help="what raters see in the list")
    add("--description", default="Look at pairs of photos and say which one was colored by a computer.", help="as well")
    add("--keywords", default="image, photo, color, study, perception", help="as well")
    add("--minutes", type=cli.positive, default=60, help="a rater's time for a form (60)")
    add("--days", type=cli.positive, default=7, help="how long the HITs can be found (7)")
    add("--approve_after_days", type=cli.positive, default=3, help="unanswered work is approved by itself (3)")
    add("--qualifications", metavar="FILE", help="JSON list of QualificationRequirements, as boto3 takes them")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be published.

    Attributes:
      forms: that are not published yet, each with its question's XML.
      reward: of one assignment, in dollars.
    """

    forms: Sequence[tuple[Form, str]]
    reward: decimal.Decimal

    @property
    def assignments(self) -> int:
        return sum(form.raters for form, _ in self.forms)

    @property
    def cost(self) -> decimal.Decimal:
        """Rewards and the service's fees: 20%, 40% of HITs with 10 assignments or more, at least a cent each."""
        total = decimal.Decimal(0)
        for form, _ in self.forms:
            share = _FEE_OF_MANY if form.raters >= _MANY else _FEE
            total += form.raters * (self.reward + max(_CENT, self.reward * share))
        return total.quantize(_CENT, decimal.ROUND_UP)


def run(found: argparse.Namespace) -> None:
    if found.yes and found.dry_run:
        raise UserError("--yes and --dry_run contradict each other")
    study = pathlib.Path(found.study)
    design = layout.load_design(study)
    pilot = exported_as_pilot(study, external=found.external)
    hits = mturk_hits.load(study, live=found.live, pilot=pilot)
    plan = make_plan(study, design.forms, hits.hits, found.reward, "external" if found.external else "questions")
    qualifications = _qualifications(found.qualifications)
    print(
        f"{'pilot: ' if pilot else ''}{len(plan.forms)} forms to publish in the {mturk_service.site(found.live)} "
        f"({len(hits.hits)} are there), {plan.assignments} assignments at {plan.reward} USD: {plan.cost} USD with fees"
    )
    if plan.cost > found.budget:
        raise UserError(
            f"--budget {found.budget}: less than the {plan.cost} USD that this may cost; nothing was published"
        )
    if not found.yes:
        print("nothing was published; --yes does it")
    elif plan.forms:
        publish(mturk_service.client(found.live), design.study, plan, hits, found, qualifications)
        print(
            cli.table(
                [
                    ("HITs", study / mturk_hits.HITS),
                    ("next", f"coltran-study status --study {study}{' --pilot' if pilot else ''}"),
                ]
            )
        )


def exported_as_pilot(study: pathlib.Path, *, external: bool) -> bool:
    """Whether the exported questions are of a trial run, as they say themselves.

    Args:
      study: the study folder.
      external: whether they open public/index.html, which must then say the same.
    Raises:
      UserError: a question or page that does not say it, or some that disagree.
    """
    pages = sorted((study / "mturk" / "questions").glob("form-*.xml"))
    index = study / "public" / "index.html"
    pages += [index] if external and index.is_file() else []
    found = {mturk_questions.is_pilot(path.read_text("utf-8"), str(path)): path for path in pages}
    if len(found) > 1:
        raise UserError(
            f"{found[True]} is of a pilot, {found[False]} is not; export both again, with or without --pilot"
        )
    return True in found


def make_plan(
    study: pathlib.Path, forms: Sequence[Form], there: dict[int, str], reward: decimal.Decimal, kind: str
) -> Plan:
    """What is left to publish.

    Args:
      study: the study folder.
      forms: of the design.
      there: forms that are published.
      reward: of one assignment.
      kind: folder of the questions, below mturk/.
    Raises:
      UserError: a question is missing.
    """
    chosen = []
    for form in forms:
        path = study / "mturk" / kind / f"form-{form.form + 1:04d}.xml"
        if form.form in there:
            continue
        if not path.is_file():
            raise UserError(f"{path}: no such question; `coltran-study export --format mturk` writes one for each form")
        chosen.append((form, path.read_text("utf-8")))
    return Plan(forms=chosen, reward=reward)


def publish(client, study: str, plan: Plan, hits: mturk_hits.Hits, found: argparse.Namespace, qualifications) -> None:
    """Makes the HITs, one after the other, and notes each.

    Args:
      client: of `mturk_service.client`.
      study: the study's name.
      plan: what to publish.
      hits: what is published so far.
      found: the command's options.
      qualifications: of the raters.
    Raises:
      UserError: the service refused; what was published before is noted.
    """
    more = {"QualificationRequirements": qualifications} if qualifications else {}
    with mturk_service.plain_errors():
        # The same values give the same type again.
        kind = client.create_hit_type(
            Title=found.title,
            Description=found.description,
            Keywords=found.keywords,
            Reward=str(plan.reward),
            AssignmentDurationInSeconds=60 * found.minutes,
            AutoApprovalDelayInSeconds=24 * 3600 * found.approve_after_days,
            **more,
        )["HITTypeId"]
        for form, question in plan.forms:
            hits.add(
                form.form,
                _make_hit(client, note(study, form.form, pilot=hits.pilot), form, question, kind, found),
                kind,
            )


def note(study: str, form: int, *, pilot: bool = False) -> str:
    """What a HIT carries to be found again: also its request token, so that it cannot be made twice."""
    return f"coltran-study-{study}-form-{form + 1:04d}{'-pilot' if pilot else ''}"


def _make_hit(client, name: str, form: Form, question: str, kind: str, found: argparse.Namespace) -> str:
    from botocore.exceptions import ClientError

    try:
        made = client.create_hit_with_hit_type(
            HITTypeId=kind,
            MaxAssignments=form.raters,
            LifetimeInSeconds=24 * 3600 * found.days,
            Question=question,
            RequesterAnnotation=name,
            UniqueRequestToken=name,
        )
        return made["HIT"]["HITId"]
    except ClientError as error:
        if _REPEATED.lower() not in json.dumps(error.response, default=str).lower():
            raise
    # A run before made it and was killed before it could note it.
    for page in client.get_paginator("list_hits").paginate():
        for hit in page["HITs"]:
            if hit.get("RequesterAnnotation") == name:
                return hit["HITId"]
    raise UserError(
        f"form {form.form + 1}: the service says that its HIT exists, but does not list it; try again later"
    )


def _qualifications(path: str | None) -> list:
    if not path:
        return []
    try:
        found = json.loads(pathlib.Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--qualifications {path}: {error}") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UserError(f"--qualifications {path}: expected a JSON list of QualificationRequirements")
    return found


def _money(text: str) -> decimal.Decimal:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,2})?", text) or decimal.Decimal(text) == 0:
        raise argparse.ArgumentTypeError(f"expected dollars such as 1.25, got '{text}'")
    return decimal.Decimal(text)
