"""Fetch the answers of a study on Mechanical Turk, for `ingest`.

    coltran-study fetch --study study
    coltran-study ingest --study study study/private/mturk_answers_sandbox.json

The file (mode 0600) has all assignments that were handed in, whether approved or not, and is written anew each time. It
names raters; `ingest` hashes them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import pathlib
from collections.abc import Iterator

from coltran import cli
from human_eval import mturk_hits, mturk_service
from human_eval.folder.layout import private_file

_PAGE = 100
_STATUSES = ["Submitted", "Approved", "Rejected"]


def add_options(add) -> None:
    add("--study", required=True, metavar="FOLDER", help="study folder that was published")
    add("--live", action="store_true", help="the real service (the sandbox)")
    add("--pilot", action="store_true", help="the HITs of the pilot, not those of the study")
    add("--out", metavar="FILE", help="where to write (FOLDER/private/mturk_answers_sandbox.json, _live.json)")


def run(found: argparse.Namespace) -> None:
    study = pathlib.Path(found.study)
    hits = mturk_hits.published(study, live=found.live, pilot=found.pilot)
    out = pathlib.Path(
        found.out or study / "private" / f"mturk_answers_{mturk_hits.place(live=found.live, pilot=found.pilot)}.json"
    )
    # The assignments of all HITs before anything is written: a file is whole or the one before.
    found_all = list(assignments(mturk_service.client(found.live), hits))
    if not found_all:
        print(f"no assignment of {len(hits.hits)} HITs was handed in yet; nothing was written")
        return
    private_file(out, json.dumps({"Assignments": found_all}, indent=1, default=_text).encode() + b"\n")
    print(f"{len(found_all)} assignments of {len(hits.hits)} HITs")
    print(cli.table([("answers", out), ("next", f"coltran-study ingest --study {study} {out}")]))


def assignments(client, hits: mturk_hits.Hits) -> Iterator[dict]:
    """Every assignment as the service gives it; raises UserError where it refuses."""
    for _, hit in sorted(hits.hits.items()):
        with mturk_service.plain_errors():
            pages = client.get_paginator("list_assignments_for_hit").paginate(
                HITId=hit, AssignmentStatuses=_STATUSES, PaginationConfig={"PageSize": _PAGE}
            )
            for page in pages:
                yield from page["Assignments"]


def _text(value: object) -> str:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    raise TypeError(f"{type(value)} in an assignment")
