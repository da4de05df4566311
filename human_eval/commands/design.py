"""Design a study: which rater sees which pairs, and all images under names that tell nothing.

    coltran-study design --truth records/holdout --colorized colorized --out study --seed 1
    coltran-study design --truth records/holdout --colorized ours=a --colorized theirs=b --out study --seed 1

The paper's study (section 5.5) is the default: 500 images, 3 samples of each, 5 ratings of every pair. Folders are
record folders, or folders of PNGs (KEY.png for truths; KEY.png or KEY/SAMPLE.png for colorizations). Every form begins
with practice and has catch trials (the truth against obviously wrong colors), both from images that are not rated. The
same seed and secret give the same design; a self-check prints its counts, and refuses one that breaks a promise.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.records.folder import COMPLETED
from human_eval.design import cost
from human_eval.design.study import choose_secret, is_finished, plan_study, write_parts
from human_eval.folder import layout
from human_eval.folder.layout import StudyDesign


def add_options(add) -> None:
    add("--truth", metavar="FOLDER", help="photos: record folder of coltran-preprocess, or PNGs")
    add(
        "--colorized",
        metavar="[NAME=]FOLDER",
        action="append",
        help="colorizations: record folder of coltran-sample, or PNGs; repeat it to compare models",
    )
    add("--out", metavar="FOLDER", help="new study folder, on the local disk")
    add("--seed", type=int, help="decides on images, and with the secret on forms and orders; write it down")
    add("--images", type=cli.positive, default=500, help="how many images, chosen by hash (500)")
    add("--samples", type=cli.positive, default=3, help="colorizations of each by each model, from 0 up (3)")
    add("--raters", type=cli.positive, default=5, help="ratings of each pair (5)")
    add("--block", type=cli.positive, default=50, help="most rated images a form (50)")
    add("--practice", type=cli.whole, default=10, help="practice pairs a form, with feedback (10)")
    add("--catch", type=cli.fraction, default=0.1, help="catch trials, as a share of a form's rated pairs (0.1)")
    add("--image", choices=("hi", "lo"), default="hi", help="which resolution of records to show (hi)")
    add("--title", default="Which photo has fake colors?", help="the page's title")
    add("--images_to", metavar="FOLDER", help="where the images go, gs:// for a cluster's workers (OUT/public/images)")
    add("--secret", metavar="FILE", help="secret of an earlier study, for the very same file names (default: drawn)")
    add("--top_up", nargs="?", const="", help=argparse.SUPPRESS)  # says where it went
    cost.add_options(add)


def run(found: argparse.Namespace, beam_arguments: Sequence[str] = ()) -> None:
    from pipelines.beam import options as beam_options

    if found.top_up is not None:
        file = found.top_up or "study/score/top_up.csv"
        raise UserError(f"--top_up is a command of its own: coltran-study top_up --study STUDY {file}")
    options = beam_options.beam_options(beam_arguments)
    missing = [f"--{name}" for name in ("truth", "colorized", "out", "seed") if getattr(found, name) is None]
    if missing:
        raise UserError(f"{' and '.join(missing)} must be given (see coltran-study design --help)")
    if found.seed < 0:
        raise UserError(f"--seed {found.seed}: must not be negative")
    out = pathlib.Path(found.out)
    secret = choose_secret(out, found.secret)
    design, truth, models = plan_study(found, secret)
    if not is_finished(out, design):
        layout.private_file(out / layout.SECRET, secret)
        shutil.rmtree(out / "public", ignore_errors=True)  # of an interrupted design
        write_parts(out, design, design.forms, truth, models, options)
        (out / COMPLETED).touch()
    report(found, design, out)


def report(found: argparse.Namespace, design: StudyDesign, out: pathlib.Path) -> None:
    """Prints the self-check's counts, the estimate, and where everything lies."""
    from human_eval.design import check as design_check

    print(design_check.describe(design))
    print(cost.describe(design, found))
    rows = [("images", design.sources["images"] or out / layout.IMAGES), ("answer key", out / layout.KEY)]
    print(
        cli.table(
            [*rows, ("next", f"coltran-study export --study {out}, or coltran-study serve --study {out} --access open")]
        )
    )
