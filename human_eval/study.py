"""coltran-study: two-alternative forced choice studies with human raters, in five steps.

    coltran-study design --truth records/holdout --colorized colorized --out study --seed 1
    coltran-study export --study study          # a page for any web server; or for Turkle, or Mechanical Turk
    coltran-study serve --study study --access open      # or our own server
    coltran-study ingest --study study study/private/server.sqlite
    coltran-study score --study study --out study/score

design decides who sees what and writes opaque images and a private answer key that never leaves study/private; ingest
makes one table of ratings, score the fooling rates. `coltran-study COMMAND --help` says more.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError

PROG = "coltran-study"
# Each is a module of human_eval/commands with a docstring for --help, `add_options` and `run`; only the one in use is
# imported.
_COMMANDS = {
    "design": "choose images, make forms, and write the study folder",
    "export": "write the rater page for a web server, Mechanical Turk or Turkle",
    "serve": "run the study on a server of your own",
    "ingest": "join raters' answers with the answer key into one table",
    "score": "fooling rates, standard errors and a report",
    "top_up": "add forms for pairs that are short of ratings",
    "simulate": "raters with known effects, in every format",
    "power": "expected standard errors of a planned study",
    "forget": "delete one rater's ratings",
}
_ON_BEAM = ("design", "top_up")  # these take Beam's flags


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The options of all commands; only `command`'s in full."""
    parser = cli.Parser(PROG, __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog=PROG)
    for name, text in _COMMANDS.items():
        module = importlib.import_module(f"human_eval.commands.{name}") if name == command else None
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
    module = importlib.import_module(f"human_eval.commands.{found.command}")
    if found.command in _ON_BEAM:
        return module.run(found, beam_arguments)
    if beam_arguments:
        raise UserError(f"no option '{beam_arguments[0]}' (see {PROG} {found.command} --help)")
    return module.run(found)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of coltran-study; returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
