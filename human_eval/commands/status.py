"""How far a study on a Turkle server is: assignments of each form, as its REST API counts them.

    coltran-study status --study study --turkle https://turkle.example.org/

The token is that of `coltran-study publish`. Turkle's API tells which assignments were submitted. It does not tell
which ones raters have accepted and are working on, and it keeps no trace of those that they returned or that ran out of
time: the places are open again, and count as open here. (A study on our own server has a progress page; see
`coltran-study serve`.)
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib

from coltran import cli
from human_eval.folder import layout
from human_eval.turkle.arguments import PublishedFlags
from human_eval.turkle.connection import connect
from human_eval.turkle.results import download
from human_eval.turkle.search import published


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(PublishedFlags):
    """The command's options."""


def run(options: Options) -> None:
    """Prints one line for each form, and the sums."""
    design = layout.load_design(pathlib.Path(options.study))
    turkle, known = connect(options, pilot=options.pilot)
    counts: dict[int, collections.Counter[str]] = {}
    closed: list[int] = []
    there: set[int] = set()
    for batch in published(turkle, design.study, known).values():
        there |= {form for form, _ in turkle.tasks(batch.number)}
        counts |= download(turkle, batch.number).by_form()
        closed += [] if batch.active else [batch.number]
    rows, total = [], collections.Counter[str]()
    for form in design.forms:
        found = counts.get(form.number, collections.Counter())
        handed_in = found["Submitted"] + found["Approved"]
        sums = {"submitted": handed_in, "open or being done": max(0, form.raters - handed_in)}
        sums |= {status.lower(): number for status, number in found.items() if status in ("Rejected", "Returned")}
        total.update(sums)
        text = ", ".join(f"{number} {name}" for name, number in sums.items())
        rows.append((f"form {form.number + 1}", text if form.number in there else "not published"))
    print(cli.table(rows))
    print(", ".join(f"{number} {name}" for name, number in total.items()))
    print("not told by Turkle: which open ones are being done; returned ones are open again")
    for number in closed:
        print(f"batch {number} is closed: raters do not see it")
