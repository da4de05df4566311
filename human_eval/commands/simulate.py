"""Raters with known effects, for rehearsals and for tests of the statistics.

    coltran-study simulate --study study --out rehearsal --seed 1
    coltran-study ingest --study study --out rehearsal/ratings.csv rehearsal/static/*.json

plays as many raters for each form as the study needs, also for forms that `top_up` added. It writes their answers in
every format that `ingest` reads, each with the same answers: give ingest one of them, and a table of its own, since it
refuses to mix made-up and real answers. --raters plays another number for the forms of the first design.

Without --study it makes up a study of --images and --samples, and writes the table rehearsal/ratings.csv.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

from coltran import cli
from coltran.errors import UserError
from coltran.options import option
from human_eval.answers import key as answer_key
from human_eval.folder import layout, rater_ids
from human_eval.simulation.effects import Effects
from human_eval.simulation.sittings import SEED_OF_SALT, MadeUpFlags, made_up_key, simulate, sittings_of_forms


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Effects, MadeUpFlags):
    """The command's options."""

    study: str | None = option(
        None, metavar="FOLDER", help="study folder whose forms are answered; without it, a study is made up"
    )
    out: str = option(metavar="FOLDER", help="new folder for the answers")


def run(options: Options) -> None:
    """Plays raters with known effects and writes their answers."""
    from human_eval.simulation import files as simulated_files

    out = pathlib.Path(options.out)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: is not empty; give --out a new folder, so that made-up and real answers never mix")
    key = answer_key.load(options.study) if options.study else made_up_key(options)
    sittings = sittings_of_forms(key, _design(options.study), options.raters)
    results = simulate(key, options, sittings=sittings, seed=options.seed)
    out.mkdir(parents=True, exist_ok=True)
    truth = {
        "effects": options.as_dict(),
        "raters": options.raters or key.raters,
        "seed": options.seed,
        "study": key.study,
    }
    (out / "effects.json").write_text(json.dumps(truth, indent=1) + "\n")
    if options.study:
        simulated_files.write_all(out, results, key.study, rater_ids.salt(options.study))
        written = "static/*.json, mturk.csv, turkle.csv, mturk_api.json, server.sqlite: the same answers five times"
    else:
        simulated_files.write_table(out / "ratings.csv", results, key, SEED_OF_SALT)
        written = "ratings.csv"
    answers = sum(len(result["trials"]) for result in results)
    print(f"{answers} made-up answers in {len(results)} sittings; fooling rate {100 * options.rate:.1f}% by design")
    print(cli.table([("written", f"{out}: {written}"), ("known effects", out / "effects.json")]))


def _design(study: str | None) -> layout.StudyDesign | None:
    """Reads the design of a study folder. Some old folders have only a key."""
    path = pathlib.Path(study) / layout.DESIGN if study else None
    return layout.read_design(path) if path and path.is_file() else None
