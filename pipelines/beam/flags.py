"""Finds flags and runners that Beam does not know, and the known one that was meant."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from coltran.cli import Parser, nearest
from coltran.errors import UserError


def unknown(arguments: Sequence[str]) -> list[str]:
    """Lists the arguments that Beam's classes do not know: flags, such as `--max_bundle_size=10`, and loose words.

    Raises:
      UserError: a known flag has a value that it cannot have.
    """
    return _beam_parser().parse_known_args(list(arguments))[1]


def near_miss(argument: str, job_flags: Collection[str] = ()) -> str:
    """Returns ` Did you mean '--X'?` for an unknown flag that is similar to a known one, else an empty text."""
    known = [name for action in _beam_parser()._actions for name in action.option_strings]
    return nearest(argument.partition("=")[0], [*job_flags, *known])


def refuse(argument: str, job_flags: Collection[str]) -> NoReturn:
    """Raises UserError for an unknown flag."""
    flag = argument.partition("=")[0]
    raise UserError(f"unknown option '{flag}'.{near_miss(argument, job_flags)} See --help")


def runner_name(given: str) -> str:
    """Returns the class name of a runner as Beam understands `--runner`: in any case, and without `Runner` too.

    Raises:
      UserError: Beam has no such runner. A name with a dot is a class of the user's and is returned unchanged.
    """
    from apache_beam.options.pipeline_options import StandardOptions

    if "." in given:
        return given.rpartition(".")[2] if given.startswith("apache_beam.") else given
    known = {name.lower(): name for name in StandardOptions.KNOWN_RUNNER_NAMES}
    found = known.get(given.lower()) or known.get(f"{given.lower()}runner")
    if found is None:
        usual = ("FnApiRunner", "DataflowRunner", "FlinkRunner", "SparkRunner", "PortableRunner")
        raise UserError(
            f"--runner={given}: Beam has no such runner.{nearest(given, known.values())} The usual ones are "
            + ", ".join(usual)
        )
    return found


def processors() -> int:
    """Returns how many processors this machine has."""
    return os.cpu_count() or 1


def _beam_parser() -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    parser: Any = Parser("the job", "", add_help=False)
    for cls in PipelineOptions.__subclasses__():
        cls._add_argparse_args(parser)
    return parser
