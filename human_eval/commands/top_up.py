"""Add forms to a study for the pairs that exclusions left short of ratings.

    coltran-study top_up --study study study/score/top_up.csv

reads the list that `coltran-study score` wrote, and plans forms of one sitting each that give every pair exactly the
ratings it lacks, less what places that are still open will bring. Export again, or restart the server, after it.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.options import flag_names, option
from human_eval.answers import ratings
from human_eval.commands.design import report
from human_eval.design.arguments import SizeFlags
from human_eval.design.cost import CostFlags
from human_eval.design.top_up import plan, read_needs, without_open
from human_eval.folder import layout
from human_eval.folder.forms import TEST


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(CostFlags):
    """The command's options."""

    needs: str = option(positional=True, metavar="FILE", help="pairs that are short of ratings: top_up.csv of `score`")
    study: str = option(metavar="FOLDER", help="the study to add forms to")
    ratings: str | None = option(None, metavar="FILE", shown="FOLDER/private/ratings.csv", help="the table of ratings")
    block: int = option(
        SizeFlags.block, parse=cli.positive, help="most rated pairs a form, and never more than the design's"
    )


def run(options: Options, beam_arguments: Sequence[str] = ()) -> None:
    """Adds forms to a study for the pairs that lack ratings.

    Args:
      options: the command's options.
      beam_arguments: flags of Apache Beam.

    Raises:
      UserError: the list belongs to another study, or a source holds other images than before.
    """
    from human_eval.design import check as design_check, study
    from pipelines.beam import options as beam_options

    beam = beam_options.asked(beam_arguments, flag_names(Options))
    out = pathlib.Path(options.study)
    before = layout.load_design(out)
    asked = read_needs(options.needs, before)
    table = pathlib.Path(options.ratings or out / ratings.IN_STUDY)
    needed = without_open(asked, before, ratings.read(table))
    coming = sum(asked.values()) - sum(needed.values())
    if coming:
        print(f"{coming} of {sum(asked.values())} missing ratings are still to come from forms that are not all done")
    if not needed:
        print(f"{options.needs}: no pair is short of ratings; nothing to add")
        return
    block = min(options.block, before.made_from["block"])
    secret = layout.load_secret(out / layout.SECRET)
    new = plan(before, needed, block=block, seeds=[before.made_from["seed"], int.from_bytes(secret)])
    design = dataclasses.replace(before, forms=(*before.forms, *new))
    design_check.check(design, topped_up=True)
    truth, models = study.open_sources(
        before.sources["truth"], dict(before.sources["models"]), before.made_from["image"]
    )
    for source, fingerprint in [(truth, before.made_from["truth"])] + [
        (model, before.made_from["models"][model.model]) for model in models
    ]:
        if source.fingerprint != fingerprint:
            raise UserError(f"{source.path}: holds other images than when the study was designed; restore the folder")
    if not study.write_parts(out, design, new, truth, models, beam):
        print(f"the job was handed over; it adds the forms to {out} by itself")
        return
    added = sum(len([t for t in form.trials if t.kind == TEST]) for form in new)
    print(f"{len(new)} forms of one sitting each added: {added} ratings of {len(needed)} pairs")
    report(options, design, out)
