"""coltran-fid: Frechet Inception distance by the paper's protocol. `coltran-fid --help` says how to use it.

A run goes once through the files of eval/scoring/ in this order:

    options      arguments.py                      what the command line says
    sets         plan.py, pairs.py                 which images are compared with which
    job          job.py, tasks.py, network.py      features of every image, statistics of each tenth of each set
    statistics   set_features.py, saved_sets.py    statistics and features of each set, read back
    scores       finish.py, score.py, result.py    the numbers of every pair and row
    report       extremes.py, report.py            what people look at, and the lines on the screen (summary.py)
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coltran import cli, storage
from coltran.errors import UserError
from coltran.options import flag_names
from coltran.records.folder import COMPLETED
from eval import table2
from eval.scoring.arguments import PROG, Options, parse

if TYPE_CHECKING:
    from eval.scoring.result import FidResult

_FOLDERS = ("real", "fake", "rows", "at_steps", "weights", "out", "features")


def run(options: Options, beam_arguments: Sequence[str] = ()) -> FidResult | None:
    """Runs the job to its end and returns what it wrote to fid.json in `options.out`.

    Args:
      options: the command's options.
      beam_arguments: Beam's own flags.

    Returns:
      The result, or None if the job ends without this driver.

    Raises:
      UserError: the user can fix this error. Most errors come before any image is read.
    """
    from coltran import folder_lock as run_lock
    from eval.scoring import earlier, network, plan, saved_sets
    from eval.scoring.finish import Scoring
    from eval.scoring.layout import Layout
    from pipelines.beam import options as beam_options
    from pipelines.beam.hints import take_network_hints
    from pipelines.beam.worker_paths import for_workers
    from pipelines.shards import submission

    engine_options = beam_options.asked(beam_arguments, flag_names(Options))
    options = for_workers(options, engine_options, _FOLDERS)
    hints = take_network_hints(engine_options)
    submission.check_earlier(options.out, engine_options)
    rows = plan.plan(options)
    network.fetch_weights(options)
    extractor = network.shared_extractor(options)
    fingerprint = earlier.fingerprint(rows, extractor, options)
    layout = Layout.of(options)
    found = earlier.finished_result(layout, fingerprint)
    if found is not None:
        return found
    layout.refuse_other_files()
    with run_lock.held(layout.path(run_lock.LOCK)):
        from eval.scoring import job  # imports Beam, which takes seconds

        saved_sets.check(plan.distinct_sets(rows).values(), extractor, options.image)
        scoring = Scoring(
            rows=rows,
            extractor=extractor,
            fingerprint=fingerprint,
            options=options,
            layout=layout,
            started=time.time(),
        )
        if not job.run(scoring, options, engine_options, hints):
            return None
    return earlier.finished_result(layout, fingerprint)


def _sample(arguments: Sequence[str]) -> None:
    from eval import sample

    if sample.run(*sample.parse(arguments)) is None:
        raise UserError("a sampling was only submitted: run the same command again when it has finished")


def _command(argv: Sequence[str] | None) -> None:
    from eval.scoring.summary import summary

    options, beam_arguments = parse(argv)
    if options.protocol is not None:
        options = table2.run(options, beam_arguments, _sample, lambda line: print(line, flush=True))
    finished = storage.exists(storage.join(options.out, COMPLETED))
    result = run(options, beam_arguments)
    if result is None:
        return
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
