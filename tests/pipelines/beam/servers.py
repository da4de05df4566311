"""Portable engines for tests: Beam's Prism and Beam's Python job service, and a pool of workers in another folder.

Prism and the worker pool listen on all addresses, and have no flag for one of them; the Python service on loopback.
"""

import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

PRISM = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "coltran-pipelines/bin/prism")
_PYTHON_SERVICE = "apache_beam.runners.portability.local_job_service_main"
_POOL = "apache_beam.runners.worker.worker_pool_main"


@dataclasses.dataclass
class Server:
    """A process that listens on a port of this machine.

    Attributes:
      process: leads a process group of its own.
      port: where it listens.
      log: its output.
    """

    process: subprocess.Popen
    port: int
    log: pathlib.Path

    @property
    def address(self) -> str:
        """Host and port, as Beam's flags take them."""
        return f"localhost:{self.port}"

    def kill(self) -> None:
        """Ends it and all that it started, as a crash does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def _serving(command: list[object], port: int, folder: pathlib.Path) -> Iterator[Server]:
    """Starts the command in `folder`, waits until it listens, and ends it after the block."""
    environment = dict(os.environ)
    for name in ("PYTHONPATH", "BEAM_WORKER_POOL_IN_DOCKER_VM"):
        environment.pop(name, None)
    environment["PATH"] = f"{pathlib.Path(sys.executable).parent}:{environment['PATH']}"  # a pool starts `python`
    log = folder / f"log-{port}.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    server = Server(process, port, log)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def prism() -> Iterator[Server]:
    """Beam's Prism, as .ci/run builds it."""
    port = free_port()
    command = [PRISM, f"--job_port={port}", "--serve_http=false"]
    with tempfile.TemporaryDirectory() as folder, _serving(command, port, pathlib.Path(folder)) as server:
        yield server


@contextlib.contextmanager
def python_service() -> Iterator[Server]:
    """Beam's job service in Python."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", _PYTHON_SERVICE, f"--port={port}", f"--staging_dir={folder}/staging"]
        with _serving(command, port, pathlib.Path(folder)) as server:
            yield server


@contextlib.contextmanager
def worker_pool(*, folder: pathlib.Path | None = None) -> Iterator[Server]:
    """A pool that starts a worker process for each job that asks, in a folder that is not the command's."""
    port = free_port()
    with tempfile.TemporaryDirectory() as other:
        command = [sys.executable, "-m", _POOL, f"--service_port={port}"]
        with _serving(command, port, folder or pathlib.Path(other)) as server:
            yield server


def workers_of(pool: Server) -> list[int]:
    """The process ids of a pool's workers."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pool.process.pid)], capture_output=True, text=True)
    return [int(word) for word in listed.stdout.split()]


def kill_workers(pool: Server) -> list[int]:
    """Kills a pool's workers as the kernel does when memory is short; returns their process ids."""
    found = workers_of(pool)
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return found


def launch(pipeline: bytes, engine: Server, pool: Server) -> str:
    """Runs a pipeline, as it travels to an engine, with the pool's workers; returns the state in which it ends."""
    import grpc
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability.api import (
        beam_fn_api_pb2,  # noqa: F401  # registers what the next ones refer to
        beam_job_api_pb2,
        beam_job_api_pb2_grpc,
        beam_runner_api_pb2,
        endpoints_pb2,
    )
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    proto = beam_runner_api_pb2.Pipeline.FromString(pipeline)
    payload = beam_runner_api_pb2.ExternalPayload(endpoint=endpoints_pb2.ApiServiceDescriptor(url=pool.address))
    for environment in proto.components.environments.values():
        environment.urn, environment.payload = "beam:env:external:v1", payload.SerializeToString()
        del environment.dependencies[:]
    with grpc.insecure_channel(engine.address) as channel:
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        _, _, states = JobServiceHandle(service, PipelineOptions([])).submit(proto)
        last = list(states)[-1].state
    return beam_job_api_pb2.JobState.Enum.Name(last)
