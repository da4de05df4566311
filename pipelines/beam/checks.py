"""Looks at an engine before anything starts: what is missing is said in seconds, where Beam would wait for minutes."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from typing import TYPE_CHECKING

from coltran.errors import UserError
from coltran.storage import CREDENTIALS, check_access
from pipelines.beam import flags, options as beam_options, submitted

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_CONNECT_SECONDS = 5.0
_GIVE_UP_SECONDS = 3600.0  # longer than a shard takes on the few processors of a machine with such a server
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
_BEAM_JARS = {"FlinkRunner": "flink_job_server_jar", "SparkRunner": "spark_job_server_jar"}


def check(options: PipelineOptions) -> None:
    """Checks that the engine can take a job, and tells on stderr which flags nobody knows.

    Args:
      options: from `options.beam_options`.
    Raises:
      UserError: no credentials, no job server at its address, no Java or jar to start one, or no pool of workers.
    """
    from apache_beam.options.pipeline_options import PortableOptions

    if beam_options.is_local(options):
        return
    if beam_options.runner(options) == beam_options.DATAFLOW:
        return _check_dataflow(options)
    endpoint = options.view_as(PortableOptions).job_endpoint
    if endpoint == "embed" or beam_options.written_to(options):
        return
    if not endpoint:
        return _check_own_server(options)
    described = _described_options(endpoint)
    _tell_unknown(options, described)
    _check_pool(options, on_engines_machine=not described and _split("--job_endpoint", endpoint)[0] in _LOOPBACK)


def give_up_seconds(options: PipelineOptions) -> float | None:
    """Returns for how long nothing may move before a command gives its job up, or None if it waits for ever.

    Beam's Python job service never reports a worker that was killed. It cannot be told from Prism, so where a job
    server has no options of its own, there is a limit even if the user sets none.
    """
    from apache_beam.options.pipeline_options import PortableOptions

    from pipelines.beam.waiting import WaitOptions

    asked = options.view_as(WaitOptions).give_up_seconds
    endpoint = options.view_as(PortableOptions).job_endpoint
    if asked is None and beam_options.runner(options) in beam_options.PORTABLE_RUNNERS and endpoint:
        return _GIVE_UP_SECONDS if endpoint == "embed" or not _described_options(endpoint) else None
    return asked


def _check_dataflow(options: PipelineOptions) -> None:
    """Checks credentials and the buckets of temporary files, for which Beam would wait for two minutes each."""
    import google.auth
    from apache_beam.options.pipeline_options import GoogleCloudOptions, TestOptions
    from google.auth.exceptions import DefaultCredentialsError

    if options.view_as(TestOptions).dry_run:
        return
    cloud = options.view_as(GoogleCloudOptions)
    try:
        _ = cloud.no_auth or google.auth.default(submitted.SCOPES)
    except DefaultCredentialsError as error:
        raise UserError(f"--runner=DataflowRunner: found no credentials for Google Cloud; {CREDENTIALS}") from error
    for place in sorted({getattr(cloud, name) for name in flags.LOCATIONS} - {None}):
        check_access(place)


def _check_own_server(options: PipelineOptions) -> None:
    """Checks what Beam needs to start a job server of Flink or Spark itself."""
    from apache_beam.options.pipeline_options import FlinkRunnerOptions, JobServerOptions, SparkRunnerOptions

    name = beam_options.runner(options)
    if name not in _BEAM_JARS:
        raise UserError(f"--runner={name} needs a job server: give --job_endpoint=HOST:PORT")
    flink, spark = options.view_as(FlinkRunnerOptions), options.view_as(SparkRunnerOptions)
    jar = flink.flink_job_server_jar if name == "FlinkRunner" else spark.spark_job_server_jar
    if jar and "://" not in jar and not os.path.isfile(jar):
        raise UserError(f"--{_BEAM_JARS[name]} {jar}: no such file; give the path or URL of Beam's job server jar")
    java = options.view_as(JobServerOptions).job_server_java_launcher
    if shutil.which(java) is None:
        raise UserError(
            f"--runner={name} starts a job server in Java, and there is no '{java}'; install Java, or give "
            "--job_endpoint=HOST:PORT of a job server that runs"
        )


def _described_options(endpoint: str) -> list[str]:
    """Asks a job server for the names of its own options. Raises UserError if none listens there."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2

    _connect("--job_endpoint", endpoint, "no job server listens there; start it, or correct the address")
    with submitted.job_service(endpoint) as service:
        request = beam_job_api_pb2.DescribePipelineOptionsRequest()
        try:
            found = service.DescribePipelineOptions(request, timeout=_CONNECT_SECONDS)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return []
            raise UserError(
                f"--job_endpoint {endpoint}: something listens there, but does not answer as a Beam job server "
                "(a Flink cluster's own port is 8081, its Beam job server's usually 8099)"
            ) from error
    return [option.name for option in found.options]


def _tell_unknown(options: PipelineOptions, described: list[str]) -> None:
    for argument in flags.unknown(options._flags or ()):
        name = argument.partition("=")[0]
        if argument.startswith("--") and name.removeprefix("--") not in described:
            hint = flags.near_miss(argument)
            print(
                f"{name}: neither Beam nor the job server knows it, so it has no effect.{hint}",
                file=sys.stderr,
            )


def _check_pool(options: PipelineOptions, *, on_engines_machine: bool) -> None:
    """Checks that a pool of workers listens, or only warns if the engine may see it from another machine."""
    from apache_beam.options.pipeline_options import PortableOptions

    portable = options.view_as(PortableOptions)
    if portable.environment_type != "EXTERNAL":
        return
    address = portable.environment_config or portable.lookup_environment_option("external_service_address")
    if not address:
        raise UserError(
            "--environment_type=EXTERNAL needs the address of a worker pool: --environment_config=HOST:PORT"
        )
    start = "start it with `python -m apache_beam.runners.worker.worker_pool_main --service_port=PORT`"
    try:
        _connect("--environment_config", address, f"no pool of workers listens there; {start}, or correct the address")
    except UserError as error:
        if on_engines_machine:
            raise
        print(f"{error} (as seen from here; the engine's own machines count)", file=sys.stderr)


def _connect(flag: str, address: str, trouble: str) -> None:
    host, port = _split(flag, address)
    try:
        socket.create_connection((host.strip("[]"), port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise UserError(f"{flag} {address}: {trouble} ({reason})") from error


def _split(flag: str, address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(f"{flag} {address}: expected HOST:PORT, such as localhost:8099")
    return host, int(port)
