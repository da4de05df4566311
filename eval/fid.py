"""coltran-fid: Frechet Inception distance between two sets of images.

    coltran-fid --real records/holdout --real_part truth --fake colorized/ --extractor inception --out fid.json

prints and writes the number with all that decides on it: counts, extractor and its weights' sha256, resize, overlap,
fingerprints of both folders. About 18 images/s on 2 cores, so 5000 against 5000 images take some 10 minutes.
`--extractor random` needs no weights file; its numbers compare with each other only, and say so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from coltran import cli, storage
from eval.fid_options import PROG, Options, parse, parser
from eval.fid_result import FidResult, check_sets, describe, report
from eval.image_sets import open_image_set


def run(options: Options, beam_arguments: Sequence[str] = ()) -> FidResult:
    """Runs the job to its end and returns what it wrote to `options.out`.

    Args:
      options: of the command.
      beam_arguments: Beam's own flags.
    Raises:
      UserError: for what the user can put right, most of it before any image is read.
    """
    from pipelines import beam_options, engine

    engine_options = beam_options.beam_options(beam_arguments, parser()._option_string_actions)
    chosen = {"image": options.image, "num": options.num, "seed": options.seed, "sample": options.sample}
    sets = {
        "real": open_image_set(options.real, part=options.real_part, **chosen),
        "fake": open_image_set(options.fake, part=options.fake_part, **chosen),
    }
    overlap = check_sets(sets["real"], sets["fake"], allow_overlap=options.allow_overlap)
    from eval import fid_job

    described = describe(sets["real"], sets["fake"], overlap, fid_job.shared_extractor(options), options)
    with _progress(sets["real"].count + sets["fake"].count, engine_options):
        engine.run_pipeline(lambda pipeline: fid_job.build(pipeline, sets, options, described), engine_options)
    return FidResult.from_json(storage.read_bytes(options.out))


def _progress(total: int, engine_options):
    from eval import fid_job
    from pipelines import beam_options, engine

    if not beam_options.is_local(engine_options):
        return contextlib.nullcontext()
    before = fid_job.images_done()
    return engine.watched(lambda: (fid_job.images_done() - before, ""), total, "features", "images")


def _command(argv: Sequence[str] | None) -> None:
    options, beam_arguments = parse(argv)
    print(cli.table(report(run(options, beam_arguments), options.out)))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of coltran-fid; returns the exit status."""
    # The other commands turn oneDNN off for results that repeat to the bit; here it is worth 40% of the speed, and
    # features move by 1e-5.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
