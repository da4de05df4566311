"""Takes Beam's own flags unchanged, checks them for typing mistakes, and names the engine.

The default is `FnApiRunner` by name. Beam's `DirectRunner` is a switch that picks an engine by the shape of the
pipeline. Beam's `multi_threading` mode loses records without an error, so we refuse that mode.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from coltran.errors import UserError
from coltran.storage import is_gcs
from pipelines.beam import flags

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

LOCAL_RUNNER = "FnApiRunner"
_LOCAL_WORKERS = 2  # threads, unless --direct_num_workers says otherwise
DATAFLOW = "DataflowRunner"
PORTABLE_RUNNERS = ("PortableRunner", "FlinkRunner", "SparkRunner")
HELP = """\
Any flag of Apache Beam may follow, unchanged. The default is --runner=FnApiRunner with 2 threads on this machine
(--direct_num_workers=N for more). For a cluster: --runner=FlinkRunner --flink_master=HOST:8081 ..., or
--runner=DataflowRunner --project=... --region=... --temp_location=gs://... There, --no_wait submits the job and
returns (the job finishes the folder alone), and --wait joins a job of this folder that still runs."""


def beam_options(arguments: Sequence[str], job_flags: Collection[str] = ()) -> PipelineOptions:
    """Makes Beam's PipelineOptions from the arguments that the job's own parser left over.

    Args:
      arguments: such as ["--runner=FlinkRunner", "--flink_master=host:8081"].
      job_flags: the job's own flags, for the suggestion if one is misspelled.
    Raises:
      UserError: neither the job nor Beam knows a flag or a runner, or flags do not go together, or a mode is known to
        lose records.
    """
    from apache_beam.options.pipeline_options import (
        DirectOptions,
        GoogleCloudOptions,
        PipelineOptions,
        StandardOptions,
    )

    from pipelines.beam import waiting  # noqa: F401  # Beam knows the flags of every subclass that exists

    unknown = flags.unknown(arguments)
    options = PipelineOptions(list(arguments))
    standard, direct = options.view_as(StandardOptions), options.view_as(DirectOptions)
    standard.runner = flags.runner_name(standard.runner or LOCAL_RUNNER)
    if unknown and standard.runner not in PORTABLE_RUNNERS:  # a job server may know more flags than Beam
        flags.refuse(unknown[0], job_flags)
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
        direct.direct_num_workers = _LOCAL_WORKERS
    if standard.runner == DATAFLOW:
        flags.complete_dataflow(options)
    elif options.view_as(GoogleCloudOptions).template_location:
        raise UserError("--template_location is Dataflow's; give --runner=DataflowRunner too")
    _check_waiting(options)
    return options


def asked(arguments: Sequence[str], job_flags: Collection[str] = ()) -> PipelineOptions | None:
    """Makes Beam's options as `beam_options` does, or returns None if there are no arguments for Beam.

    None stands for the defaults: the local engine. All functions here take it, so that a command can list, plan and
    refuse before `run_pipeline` imports Beam, which takes seconds.
    """
    return beam_options(arguments, job_flags) if arguments else None


def runner(options: PipelineOptions | None) -> str:
    """Returns the runner's class name, such as `DataflowRunner`."""
    if options is None:
        return LOCAL_RUNNER
    from apache_beam.options.pipeline_options import StandardOptions

    return options.view_as(StandardOptions).runner


def set_runner(options: PipelineOptions, name: str) -> None:
    """Sets the runner's class name."""
    from apache_beam.options.pipeline_options import StandardOptions

    options.view_as(StandardOptions).runner = name


def is_local(options: PipelineOptions | None) -> bool:
    """Tells whether the job runs on this machine and inside this command."""
    return runner(options) not in (DATAFLOW, *PORTABLE_RUNNERS)


def no_wait(options: PipelineOptions | None) -> bool:
    """Tells whether the command returns as soon as the job is submitted."""
    if options is None:
        return False
    from apache_beam.options.pipeline_options import StandardOptions

    from pipelines.beam.waiting import WaitOptions

    return options.view_as(WaitOptions).no_wait or options.view_as(StandardOptions).no_wait_until_finish


def joins(options: PipelineOptions | None) -> bool:
    """Tells whether the command joins a job of its folder that still runs (`--wait`), and does not refuse to start."""
    if options is None:
        return False
    from pipelines.beam.waiting import WaitOptions

    return options.view_as(WaitOptions).wait


def written_to(options: PipelineOptions | None) -> str | None:
    """Returns the place of the job's description if the job is only written and not run, or None if it runs."""
    if options is None:
        return None
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PortableOptions, TestOptions

    if runner(options) == DATAFLOW:
        if options.view_as(TestOptions).dry_run:
            return "nowhere (--dry_run)"
        return options.view_as(GoogleCloudOptions).template_location
    if runner(options) in PORTABLE_RUNNERS:
        return options.view_as(PortableOptions).output_executable_path
    return None


def only_writes_template(options: PipelineOptions | None) -> bool:
    """Tells whether the job is only written (`--template_location` and the like), so that somebody else launches it.

    `--dataflow_job_file` alone does not count, because Beam then submits the job too.
    """
    return written_to(options) is not None


def workers(options: PipelineOptions | None) -> int:
    """Returns how many shards the engine can make at the same time, at least 1, by the flags that ask for workers.

    Dataflow starts as many processes on a worker as it has virtual CPUs. Their threads share these CPUs, so threads
    count only if `--number_of_worker_harness_threads` names them.
    """
    if options is None:
        return _LOCAL_WORKERS
    from apache_beam.options.pipeline_options import DirectOptions, FlinkRunnerOptions, PortableOptions

    if runner(options) == DATAFLOW:
        return _dataflow_workers(options)
    if runner(options) in PORTABLE_RUNNERS:
        nodes = max(1, options.view_as(FlinkRunnerOptions).parallelism or 1)
        return nodes * max(1, int(options.view_as(PortableOptions).sdk_worker_parallelism or 1))
    return max(1, options.view_as(DirectOptions).direct_num_workers or flags.processors())


def _dataflow_workers(options: PipelineOptions) -> int:
    from apache_beam.options.pipeline_options import DebugOptions, WorkerOptions

    asked, debug = options.view_as(WorkerOptions), options.view_as(DebugOptions)
    machines = max(asked.max_num_workers or 0, asked.num_workers or 0, 1)
    threads = debug.number_of_worker_harness_threads or 1
    if debug.lookup_experiment("no_use_multiple_sdk_containers"):
        return machines * threads
    processors = re.search(r"-(\d+)(?:-\d+)?$", asked.machine_type or "")  # n1-standard-4, custom-8-16384
    return machines * threads * (int(processors[1]) if processors else 1)


def job_place(options: PipelineOptions | None) -> dict[str, str]:
    """Returns what a later process needs to ask for the job's state, for `submitted.state`; it can be written as JSON.

    It is empty if the job ends with this command, because then nobody can ask for it later.
    """
    if options is None:
        return {}
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PortableOptions

    if runner(options) == DATAFLOW:
        cloud = options.view_as(GoogleCloudOptions)
        names = ("project", "region", "dataflow_endpoint", "impersonate_service_account")
        place = {name: getattr(cloud, name) for name in names if getattr(cloud, name)}
        return {"runner": DATAFLOW} | place | ({"no_auth": "true"} if cloud.no_auth else {})
    endpoint = options.view_as(PortableOptions).job_endpoint
    if runner(options) in PORTABLE_RUNNERS and endpoint and endpoint != "embed" and not _workers_are_here(options):
        return {"runner": runner(options), "job_endpoint": endpoint}
    return {}


def check_paths(options: PipelineOptions | None, paths: Mapping[str, str | None]) -> None:
    """Refuses a path that the engine's workers cannot see.

    Args:
      options: from `asked` or `beam_options`.
      paths: {flag: path}, such as {"--out": "records/train"}; None for a flag that was not given.
    Raises:
      UserError: the job goes to Dataflow, and a path lies on this machine.
    """
    if runner(options) != DATAFLOW:
        return
    for flag, path in paths.items():
        if path is not None and not is_gcs(path):
            raise UserError(
                f"{flag} {path}: lies on this machine, where Dataflow's workers cannot see it; give gs://..."
            )


def _check_waiting(options: PipelineOptions) -> None:
    if not no_wait(options):
        return
    if joins(options):
        raise UserError("--no_wait and --wait exclude each other")
    if is_local(options):
        raise UserError(f"--no_wait: --runner={runner(options)} runs inside this command; leave it out")
    if not only_writes_template(options) and not job_place(options):
        raise UserError(
            "--no_wait: the job server or the workers would end with this command; give --job_endpoint=HOST:PORT of a "
            "job server that stays, and workers of their own (--environment_type, not LOOPBACK)"
        )


def _workers_are_here(options: PipelineOptions) -> bool:
    from apache_beam.options.pipeline_options import PortableOptions

    return options.view_as(PortableOptions).environment_type == "LOOPBACK"
