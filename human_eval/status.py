"""How far a study on Mechanical Turk is: assignments of each form, as the service counts them.

    coltran-study status --study study

asks about the HITs of private/mturk_hits.json; with --live, about those where raters are paid. (A study on our own
server has a progress page; see `coltran-study serve`.)
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import pathlib
from collections.abc import Iterator

from coltran import cli
from human_eval import mturk_hits, mturk_service


@dataclasses.dataclass(frozen=True, kw_only=True)
class Count:
    """Assignments of one form: handed in, being done by a rater, and not taken yet."""

    form: int
    state: str
    handed_in: int
    pending: int
    available: int


def add_options(add) -> None:
    add("--study", required=True, metavar="FOLDER", help="study folder that was published")
    add("--live", action="store_true", help="the real service (the sandbox)")
    add("--pilot", action="store_true", help="the HITs of the pilot, not those of the study")


def run(found: argparse.Namespace) -> None:
    hits = mturk_hits.published(pathlib.Path(found.study), live=found.live, pilot=found.pilot)
    total: collections.Counter = collections.Counter()
    rows = []
    for count in counts(mturk_service.client(found.live), hits):
        parts = {"handed in": count.handed_in, "being done": count.pending, "free": count.available}
        total.update(parts)
        text = ", ".join(f"{number} {name}" for name, number in parts.items())
        rows.append((f"form {count.form + 1}", f"{text} ({count.state})"))
    print(cli.table(rows))
    print(", ".join(f"{total[name]} {name}" for name in ("handed in", "being done", "free")))


def counts(client, hits: mturk_hits.Hits) -> Iterator[Count]:
    """The counts of every published form; raises UserError where the service refuses."""
    for form, hit in sorted(hits.hits.items()):
        with mturk_service.plain_errors():
            about = client.get_hit(HITId=hit)["HIT"]
        pending, available = about["NumberOfAssignmentsPending"], about["NumberOfAssignmentsAvailable"]
        yield Count(
            form=form,
            state=about["HITStatus"],
            handed_in=about["MaxAssignments"] - pending - available,
            pending=pending,
            available=available,
        )
