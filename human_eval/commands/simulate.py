"""Raters with known effects, for rehearsals and for tests of the statistics.

    coltran-study simulate --study study --out rehearsal --seed 1
    coltran-study ingest --study study --out rehearsal/ratings.csv rehearsal/static/*.json

plays `--raters` raters for each form and writes their answers in every format that `ingest` reads, each with the same
answers: give ingest one of them, and a table of its own, since it refuses to mix made-up and real answers. Without
--study it makes up a study of --images and --samples, and writes the table rehearsal/ratings.csv.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib

from coltran import cli
from coltran.errors import UserError
from human_eval.answers import key as answer_key
from human_eval.simulation import arguments
from human_eval.simulation.sittings import SEED_OF_SALT, made_up_key, simulate


def add_options(add) -> None:
    add("--study", metavar="FOLDER", help="study folder whose forms are answered; without it, a study is made up")
    add("--out", required=True, metavar="FOLDER", help="new folder for the answers")
    add("--seed", required=True, type=int, help="of all draws")
    add("--raters", type=cli.positive, default=5, help="raters a form, each with one form (5)")
    add("--images", type=cli.positive, default=500, help="of the made-up study (500)")
    add("--samples", type=cli.positive, default=3, help="of the made-up study (3)")
    add("--block", type=cli.positive, default=50, help="images a form of the made-up study (50)")
    arguments.add_effects(add)


def run(found: argparse.Namespace) -> None:
    from human_eval.simulation import files as simulated_files

    if found.seed < 0:
        raise UserError(f"--seed {found.seed}: must not be negative")
    out = pathlib.Path(found.out)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: is not empty; give --out a new folder, so that made-up and real answers never mix")
    key = answer_key.load(found.study) if found.study else made_up_key(found)
    effects = arguments.effects(found)
    results = simulate(key, effects, raters=found.raters, seed=found.seed)
    out.mkdir(parents=True, exist_ok=True)
    truth = {"effects": dataclasses.asdict(effects), "raters": found.raters, "seed": found.seed, "study": key.study}
    (out / "effects.json").write_text(json.dumps(truth, indent=1) + "\n")
    if found.study:
        simulated_files.write_all(out, results, key.study)
        written = "static/*.json, mturk.csv, turkle.csv, mturk_api.json, server.sqlite: the same answers five times"
    else:
        simulated_files.write_table(out / "ratings.csv", results, key, SEED_OF_SALT)
        written = "ratings.csv"
    answers = sum(len(result["trials"]) for result in results)
    print(f"{answers} made-up answers in {len(results)} sittings; fooling rate {100 * effects.rate:.1f}% by design")
    print(cli.table([("written", f"{out}: {written}"), ("known effects", out / "effects.json")]))
