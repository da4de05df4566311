"""coltran-study: two-alternative forced choice studies with human raters.

    coltran-study export --truth records/holdout --colorized colorized/ --out study --seed 1

makes a folder with the rater page (open study/public/index.html in a browser, or put study/public on any web server),
opaque images, a batch CSV, and a private answer key that never leaves study/private. When the answers are in,

    coltran-study ingest --study study answers/*.json
    coltran-study score --study study --out study/score

make one table of ratings and the fooling rates. `coltran-study COMMAND --help` says more.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError

PROG = "coltran-study"
_EXPORT = """\
Write a study folder: every chosen image's truth against each of its samples, shown one after the other for one second
each, "which one has fake colors?". The paper used 500 images, 3 samples and 5 raters a form.
"""

# Each has a module of its name with a docstring for --help, `add_options` and `run`; only the one in use is imported.
_OTHERS = {
    "serve": "run the study on a server of your own",
    "ingest": "join raters' answers with the answer key into one table",
    "score": "fooling rates, standard errors and a report",
    "simulate": "raters with known effects, in every format",
    "power": "expected standard errors of a planned study",
    "forget": "delete one rater's ratings",
}


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The options of all commands; of those in other modules, only `command`'s in full."""
    parser = cli.Parser(PROG, __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog=PROG)
    export = commands.add_parser("export", help="write the study folder", description=_EXPORT)
    add = export.add_argument
    add("--truth", required=True, metavar="FOLDER", help="record folder of coltran-preprocess")
    add("--colorized", required=True, metavar="FOLDER", help="record folder of coltran-sample")
    add("--out", required=True, metavar="FOLDER", help="study folder to write, on the local disk")
    add("--seed", required=True, type=int, help="decides on images, forms and orders; write it down")
    add("--images", type=cli.positive, default=500, help="how many images, chosen by hash (500)")
    add("--samples", type=cli.positive, default=3, help="colorizations of each, from 0 up (3)")
    add("--block", type=cli.positive, default=50, help="images a form (50)")
    add("--image", choices=("hi", "lo"), default="hi", help="which resolution to show (hi)")
    add("--name", default="Which image has fake colors?", help="the page's title")
    for name, text in _OTHERS.items():
        module = importlib.import_module(f"human_eval.{name}") if name == command else None
        other = commands.add_parser(name, help=text, description=module and module.__doc__)
        if module:
            module.add_options(other.add_argument)
    return parser


def parse(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """The command's options, and the arguments that are left for Beam."""
    argv = sys.argv[1:] if argv is None else argv
    return parser(next(iter(argv), None)).parse_known_args(argv)


def _command(argv: Sequence[str] | None) -> None:
    found, beam_arguments = parse(argv)
    if found.command in _OTHERS:
        if beam_arguments:
            raise UserError(f"no option '{beam_arguments[0]}' (see {PROG} {found.command} --help)")
        importlib.import_module(f"human_eval.{found.command}").run(found)
        return
    from human_eval import export

    fields = {name: value for name, value in vars(found).items() if name != "command"}
    result = export.run(export.Options(**fields), beam_arguments)
    print(f"{result.trials} pairs of {result.images} images in {result.forms} forms; leak audit: nothing found")
    print(
        cli.table(
            [
                ("rater page", f"{result.folder}/public/index.html"),
                ("batch CSV", f"{result.folder}/public/batch.csv"),
                ("answer key", f"{result.folder}/private/key.csv (keep it private)"),
            ]
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of coltran-study; returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
