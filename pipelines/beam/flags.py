"""Finds flags and runners that Beam does not know, the known one that was meant, and what a runner still needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from coltran.cli import Parser, nearest
from coltran.errors import UserError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

LOCATIONS = ("temp_location", "staging_location", "template_location")  # of Dataflow's files


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

    if given.lower().endswith(("daskrunner", "dask")):
        raise UserError(f"--runner={given}: gives wrong results without an error in Beam 2.77; use another runner")
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


def complete_dataflow(options: PipelineOptions) -> None:
    """Checks that the flags for Dataflow are all there, and sets the region that Google's tools are set to.

    Raises:
      UserError: project, region or a place for temporary files is missing, or one of them cannot be right.
    """
    from apache_beam.options.pipeline_options import GoogleCloudOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

    cloud = options.view_as(GoogleCloudOptions)
    cloud.region = cloud.region or _usual_region()
    missing = [f"--{name}" for name in ("project", "region") if not getattr(cloud, name)]
    missing += [] if cloud.temp_location or cloud.staging_location else ["--temp_location=gs://BUCKET/tmp"]
    if missing:
        raise UserError(f"--runner=DataflowRunner also needs {', '.join(missing)}")
    validator = PipelineOptionsValidator(options, None)
    stand_in = "//localhost" in cloud.dataflow_endpoint  # Beam does not check the options then
    wrong = [] if stand_in else validator.validate_cloud_options(cloud)
    for name in LOCATIONS:
        wrong += validator.validate_gcs_path(cloud, name) if getattr(cloud, name) else []
    if wrong:
        raise UserError(f"--runner=DataflowRunner: {' '.join(' '.join(wrong).split())}")


def _usual_region() -> str | None:
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    asks_gcloud = "CLOUDSDK_COMPUTE_REGION" not in os.environ
    return None if asks_gcloud and shutil.which("gcloud") is None else DataflowRunner().get_default_gcp_region()


def processors() -> int:
    """Returns how many processors this machine has."""
    return os.cpu_count() or 1


def _beam_parser() -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    parser: Any = Parser("the job", "", add_help=False)
    for cls in PipelineOptions.__subclasses__():
        cls._add_argparse_args(parser)
    return parser
