"""Takes Beam's own flags unchanged, checks them for typing mistakes, and names the local engine.

The default is `FnApiRunner` by name. Beam's `DirectRunner` is a switch that picks an engine by the shape of the
pipeline. Beam's `multi_threading` mode loses records without an error, so we refuse that mode.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from coltran.cli import Parser, nearest
from coltran.errors import UserError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

LOCAL_RUNNER = "FnApiRunner"
HELP = """\
Any flag of Apache Beam may follow, unchanged. The default is --runner=FnApiRunner with 2 threads on this machine
(--direct_num_workers=N for more). For a cluster: --runner=FlinkRunner --flink_master=HOST:8081 ..., or
--runner=DataflowRunner --project=... --region=... --temp_location=gs://..."""


def beam_options(arguments: Sequence[str], job_flags: Collection[str] = ()) -> PipelineOptions:
    """Makes Beam's PipelineOptions from the arguments that the job's own parser left over.

    Args:
      arguments: such as ["--runner=FlinkRunner", "--flink_master=host:8081"].
      job_flags: the job's own flags, for the suggestion if one is misspelled.
    Raises:
      UserError: neither the job nor Beam knows a flag, or a mode is known to lose records.
    """
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

    _check_known(arguments, job_flags)
    options = PipelineOptions(list(arguments))
    standard, direct = options.view_as(StandardOptions), options.view_as(DirectOptions)
    standard.runner = standard.runner or LOCAL_RUNNER
    if direct.direct_running_mode == "multi_threading":
        raise UserError(
            "--direct_running_mode=multi_threading loses records without an error in Beam 2.77; "
            "use in_memory (the default; --direct_num_workers=N gives it N threads) or multi_processing"
        )
    if any("data_buffer_time_limit_ms" in argument for argument in arguments):
        raise UserError(
            "--experiments=data_buffer_time_limit_ms loses records without an error in Beam 2.77; leave it out"
        )
    if not any(argument.startswith("--direct_num_workers") for argument in arguments):
        direct.direct_num_workers = 2
    return options


def is_local(options: PipelineOptions) -> bool:
    """Tells whether the job runs on this machine, so that a progress bar can watch its files."""
    from apache_beam.options.pipeline_options import StandardOptions

    return options.view_as(StandardOptions).runner in (LOCAL_RUNNER, "DirectRunner")


def _check_known(arguments: Sequence[str], job_flags: Collection[str]) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions

    parser: Any = Parser("the job", "", add_help=False)
    for cls in PipelineOptions.__subclasses__():
        cls._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        flags = [name for action in parser._actions for name in action.option_strings]
        flag = unknown[0].partition("=")[0]
        raise UserError(f"unknown option '{flag}'.{nearest(flag, [*job_flags, *flags])} See --help")
