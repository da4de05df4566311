"""coltran-fid: Frechet Inception distance by the paper's protocol. `coltran-fid --help` says how to use it.

A run goes once through the files of eval/scoring/ in this order:

    options      arguments.py                      what the command line says
    sets         plan.py, pairs.py                 which images are compared with which
    job          job.py, tasks.py, network.py      features of every image, statistics of each tenth of each set
    statistics   set_features.py, saved_sets.py    statistics and features of each set, read back
    scores       score.py, result.py               the numbers of every pair and row
    report       extremes.py, report.py            what people look at, and the lines on the screen (summary.py)
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coltran import cli, storage
from coltran.options import flag_names
from coltran.records.folder import COMPLETED, RUN
from eval.scoring.arguments import PROG, Options, parse

if TYPE_CHECKING:
    from eval.features.extractors import Extractor
    from eval.scoring.layout import Layout
    from eval.scoring.plan import Row
    from eval.scoring.result import FidResult


def run(options: Options, beam_arguments: Sequence[str] = ()) -> FidResult:
    """Runs the job to its end and returns what it wrote to fid.json in `options.out`.

    Args:
      options: the command's options.
      beam_arguments: Beam's own flags.

    Raises:
      UserError: the user can fix this error. Most errors come before any image is read.
    """
    from coltran import folder_lock as run_lock
    from eval.scoring import earlier, network, plan
    from eval.scoring.layout import Layout
    from pipelines.beam import options as beam_options

    engine_options = beam_options.beam_options(beam_arguments, flag_names(Options))
    rows = plan.plan(options)
    extractor = network.shared_extractor(options)
    fingerprint = earlier.fingerprint(rows, extractor, options)
    layout = Layout.of(options)
    found = earlier.finished_result(layout, fingerprint)
    if found is not None:
        return found
    with run_lock.held(layout.path(run_lock.LOCK)):
        return _compute(rows, extractor, fingerprint, options, layout, engine_options)


def _compute(
    rows: Sequence[Row], extractor: Extractor, fingerprint: str, options: Options, layout: Layout, engine_options: Any
) -> FidResult:
    from eval.scoring import extremes, job, plan, report, saved_sets, score, set_features

    started = time.monotonic()
    sets = plan.distinct_sets(rows)
    saved_sets.check(sets.values(), extractor, options.image)

    images = job.compute_statistics(sets.values(), extractor, options, layout, engine_options)
    features_seconds = time.monotonic() - started

    load = set_features.loader(sets, extractor, layout)
    result = score.score_rows(rows, load, extractor, fingerprint, options)
    saved_sets.write(rows, load, extractor, options.image, layout)

    report.write(layout, result, [extremes.sheet(row.pairs[0], load) for row in rows])
    figures = {"images": images, "seconds_of_features": features_seconds, "seconds": time.monotonic() - started}
    _finish(layout, result, figures)
    return result


def _finish(layout: Layout, result: FidResult, figures: dict[str, float]) -> None:
    storage.write_bytes(layout.result, result.to_json())
    storage.write_bytes(layout.path(RUN), json.dumps(figures, indent=1).encode() + b"\n")
    storage.write_bytes(layout.path(COMPLETED), b"")
    storage.remove_folder(layout.work)


def _command(argv: Sequence[str] | None) -> None:
    from eval.scoring.summary import summary

    options, beam_arguments = parse(argv)
    finished = storage.exists(storage.join(options.out, COMPLETED))
    result = run(options, beam_arguments)
    if finished:
        print(f"{options.out}: already finished, nothing to do")
    for line in summary(result, options.out):
        print(line)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs coltran-fid and returns the exit status."""
    # The other commands turn oneDNN off, so that results repeat to the bit. Here it is worth 40% of the speed, and it
    # changes features by only 1e-5.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
