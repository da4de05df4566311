"""coltran-study: two-alternative forced choice studies with human raters.

    coltran-study export --truth records/holdout --colorized colorized/ --out study --seed 1

makes a folder with the rater page (open study/public/index.html in a browser, or put study/public on any web server),
opaque images, a batch CSV, and a private answer key that never leaves study/private.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from coltran import cli

PROG = "coltran-study"
_EXPORT = """\
Write a study folder: every chosen image's truth against each of its samples, shown one after the other for one second
each, "which one has fake colors?". The paper used 500 images, 3 samples and 5 raters a form.
"""


def parser() -> argparse.ArgumentParser:
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
    return parser


def parse(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """The command's options, and the arguments that are left for Beam."""
    return parser().parse_known_args(argv)


def _command(argv: Sequence[str] | None) -> None:
    found, beam_arguments = parse(argv)
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
