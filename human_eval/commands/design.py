"""Design a study: which rater sees which pairs, and all images under names that tell nothing.

    coltran-study design --truth records/holdout --colorized colorized --out study --seed 1
    coltran-study design --truth records/holdout --colorized ours=a --colorized theirs=b --out study --seed 1

The paper's study (section 5.5) is the default: 500 images, 3 samples of each, 5 ratings of every pair. Folders are
record folders, or folders of PNGs or JPEGs (KEY.png for truths; KEY.png, KEY/SAMPLE.png, or KEY_sample0.png of
coltran-colorize for colorizations). Every form begins with practice and has catch trials (the truth against obviously
wrong colors), both from images that are not rated. The same seed and secret give the same design; a self-check prints
its counts, and refuses one that breaks a promise.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Sequence

from coltran import cli
from coltran.options import flag_names, option
from human_eval.design import cost
from human_eval.design.arguments import PlanFlags
from human_eval.design.cost import CostFlags
from human_eval.design.study import choose_secret, is_finished, named_folders, plan_study, write_parts
from human_eval.folder import layout
from human_eval.folder.layout import StudyDesign
from human_eval.page import consent
from human_eval.page.consent import ConsentFlags


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(ConsentFlags, CostFlags, PlanFlags):
    """The command's options."""

    out: str = option(metavar="FOLDER", decides=False, help="new study folder, on the local disk")
    secret: str | None = option(
        None,
        metavar="FILE",
        shown="drawn",
        decides=False,
        help="secret of an earlier study, for the very same file names",
    )


def run(options: Options, beam_arguments: Sequence[str] = ()) -> None:
    """Designs a study and writes its folder. A folder that already holds this study stays as it is.

    Args:
      options: the command's options.
      beam_arguments: flags of Apache Beam.

    Raises:
      UserError: the images do not fit together, there are too few of them, or the folder holds something else.
    """
    from pipelines.beam import options as beam_options

    beam = beam_options.asked(beam_arguments, flag_names(Options))
    for path in named_folders(options.colorized).values():
        beam_options.check_paths(beam, {"--colorized": path})
    beam_options.check_paths(beam, {"--truth": options.truth, "--images_to": options.images_to or options.out})
    out = pathlib.Path(options.out)
    secret = choose_secret(out, options.secret)
    design, truth, models = plan_study(options, secret)
    if not is_finished(out, design):
        design = dataclasses.replace(design, consent=consent.ask(consent.given(options, {})))
        layout.private_file(out / layout.SECRET, secret)
        shutil.rmtree(out / "public", ignore_errors=True)  # An interrupted design may have left this folder.
        if not write_parts(out, design, design.forms, truth, models, beam):
            print(
                f"the job was handed over; it finishes {out} by itself, and this same command then says what is in it"
            )
            return
    report(options, design, out)


def report(options: CostFlags, design: StudyDesign, out: pathlib.Path) -> None:
    """Prints the counts of the self-check, the estimated cost, and the place of each output."""
    from human_eval.design import check as design_check, leak_audit

    print(design_check.describe(design))
    print(cost.describe(design, options))
    print(leak_audit.describe(leak_audit.read_result(out)))
    rows = [("images", design.sources["images"] or out / layout.IMAGES), ("answer key", out / layout.KEY)]
    print(
        cli.table(
            [*rows, ("next", f"coltran-study export --study {out}, or coltran-study serve --study {out} --access open")]
        )
    )
