"""coltran-study: two-alternative forced choice studies with human raters, in five steps.

    coltran-study new                                    # asks for what is needed, and writes study.toml
    coltran-study design --truth records/holdout --colorized colorized --out study --seed 1
    coltran-study export --study study          # a page for any web server; or Mechanical Turk's format, for Turkle
    coltran-study serve --study study --access open      # or our own server
    coltran-study publish --study study --turkle URL     # or a Turkle server; then status, fetch
    coltran-study ingest --study study study/private/server.sqlite
    coltran-study score --study study --out study/score

design decides who sees what and writes opaque images and a private answer key that never leaves study/private; ingest
makes one table of ratings, score the fooling rates. `coltran-study COMMAND --help` says more.
"""

from __future__ import annotations

import argparse
import importlib
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from coltran import cli
from coltran.errors import UserError
from coltran.options import add_flags, flag_names, flags_of, from_arguments
from coltran.paths import GCS_PREFIX
from human_eval.folder import settings

PROG = "coltran-study"
# Each command is a module of human_eval/commands. It has a docstring for --help, the dataclass `Options`, whose fields
# are the flags, and `run(options)`. Only the command in use is imported.
_COMMANDS = {
    "new": "begin a study: asks for what is needed, and writes study.toml, which the others read",
    "design": "choose images, make forms, and write the study folder",
    "export": "write the rater page for a web server or for Turkle, or in Mechanical Turk's format",
    "serve": "run the study on a server of your own",
    "publish": "bring the forms to a Turkle server",
    "status": "how far the study on a Turkle server is",
    "fetch": "raters' answers from a Turkle server",
    "ingest": "join raters' answers with the answer key into one table",
    "score": "fooling rates, standard errors and a report",
    "top_up": "add forms for pairs that are short of ratings",
    "simulate": "raters with known effects, in every format",
    "power": "expected standard errors of a planned study",
    "forget": "delete one rater's ratings",
}
_ON_BEAM = ("design", "top_up")  # These also take Beam's flags: run(options, beam_arguments).
_MAY_BE_CLOUD = (
    "truth",
    "colorized",
    "images_to",
)  # All else of a study is local, because raters' answers are private.
_TOP_UP = "--top_up"  # This used to be an option of `design`.


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """Makes the parser of all commands. Only `command` gets its flags."""
    parser = cli.Parser(PROG, __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog=PROG)
    for name, text in _COMMANDS.items():
        if name != command:
            commands.add_parser(name, help=text, description=None)
            continue
        module = _module(name)
        add_flags(commands.add_parser(name, help=text, description=module.__doc__), module.Options)
    return parser


def _module(command: str) -> Any:
    return importlib.import_module(f"human_eval.commands.{command}")


def _command(argv: Sequence[str] | None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    command = next(iter(argv), None)
    if command == "design":
        _refuse_top_up(argv)
    if command in _COMMANDS and command != "new":
        argv = [command, *_settings(command, argv[1:]), *argv[1:]]
    found, beam_arguments = parser(command).parse_known_args(argv)
    module = _module(found.command)
    options = from_arguments(module.Options, found)
    _refuse_cloud(options)
    if found.command in _ON_BEAM:
        return module.run(options, beam_arguments)
    if beam_arguments:
        raise UserError(f"no option '{beam_arguments[0]}' (see {PROG} {found.command} --help)")
    return module.run(options)


def _refuse_cloud(options: Any) -> None:
    """Refuses gs:// for a study's own files. The commands would take it for a local folder named `gs:`."""
    for field in flags_of(type(options)):
        value = getattr(options, field.name)
        for text in value if isinstance(value, tuple) else (value,):
            if field.name not in _MAY_BE_CLOUD and str(text).startswith(GCS_PREFIX):
                raise UserError(
                    f"{text}: a study folder and its files are local; give a local path (copy it with "
                    "`gcloud storage cp -r`), only photos and images may be on gs://"
                )


def _settings(command: str, given: Sequence[str]) -> list[str]:
    """Returns the settings of study.toml as flags of a command."""
    path = pathlib.Path(settings.FILE)
    if not path.is_file():
        return []
    known = {flag.removeprefix("--") for name in _COMMANDS for flag in flag_names(_module(name).Options)}
    mine = {flag.removeprefix("--") for flag in flag_names(_module(command).Options)}
    return settings.as_flags(settings.read(path, known), command, mine, given)


def _refuse_top_up(argv: Sequence[str]) -> None:
    """Says where `design --top_up` went, before the parser complains about missing flags."""
    for flag, after in zip(argv, [*argv[1:], ""], strict=True):
        name, _, file = flag.partition("=")
        if name == _TOP_UP:
            file = file or (after if after and not after.startswith("-") else "study/score/top_up.csv")
            raise UserError(f"--top_up is a command of its own: coltran-study top_up --study STUDY {file}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs coltran-study and returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
