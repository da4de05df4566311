"""Fetch the answers of a study on a Turkle server, for `ingest`.

    coltran-study fetch --study study --turkle https://turkle.example.org/
    coltran-study ingest --study study study/private/turkle_answers_batch_7.csv

The token is that of `coltran-study publish`. Each batch's results are written as the server gives them (mode 0600; they
name raters, whom `ingest` hashes), anew each time, and only when all of them have come whole. Assignments that were
rejected or returned are named and left out; so are those that an earlier fetch had and the server has no more.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator

from coltran import cli
from human_eval.folder import layout
from human_eval.folder.layout import private_file
from human_eval.turkle.arguments import PublishedFlags
from human_eval.turkle.connection import connect
from human_eval.turkle.results import Results, download, parse
from human_eval.turkle.search import published


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(PublishedFlags):
    """The command's options."""


def run(options: Options) -> None:
    """Writes one file for each batch that has answers."""
    folder = pathlib.Path(options.study)
    design = layout.load_design(folder)
    turkle, known = connect(options, pilot=options.pilot)
    # We download all batches before we write anything. So all files come from one moment, or all stay as they were.
    batches = published(turkle, design.study, known).values()
    found = {_path(folder, batch.number, options.pilot): download(turkle, batch.number) for batch in batches}
    written = []
    for path, results in found.items():
        for line in _left_out(path, results):
            print(line)
        if any(one.good for one in results.assignments) or path.exists():
            private_file(path, results.good_bytes())
        if any(one.good for one in results.assignments):
            written.append(path)
    good = sum(one.good for results in found.values() for one in results.assignments)
    wanted = sum(form.raters for form in design.forms)
    print(f"{good} of {wanted} assignments are submitted" + ("" if written else "; there is nothing to ingest yet"))
    if written:
        files = " ".join(map(str, written))
        rows: list[tuple[str, object]] = [("answers", path) for path in written]
        print(cli.table([*rows, ("next", f"coltran-study ingest --study {folder} {files}")]))


def _path(folder: pathlib.Path, batch: int, pilot: bool) -> pathlib.Path:
    return folder / "private" / f"turkle_{'pilot_' if pilot else ''}answers_batch_{batch}.csv"


def _left_out(path: pathlib.Path, results: Results) -> Iterator[str]:
    """Yields one line for each assignment that is left out, or that was fetched before and is now gone."""
    for one in results.assignments:
        if not one.good:
            yield f"assignment {one.number} (form {one.form + 1}) is {one.status}: left out"
    if not path.exists():
        return
    there = {one.number for one in results.assignments}
    for one in parse(path.read_bytes(), str(path)).assignments:
        if one.number not in there:
            yield (
                f"assignment {one.number} (form {one.form + 1}) was fetched before and is deleted on the server: left "
                "out; to take its ratings out of a table, move the table away and ingest all files again"
            )
