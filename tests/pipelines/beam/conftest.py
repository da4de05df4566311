"""Portable engines, once a test process: Prism, Beam's Python job service, and a pool of workers that both use."""

import dataclasses

import pytest

from tests.pipelines.beam import servers


@dataclasses.dataclass
class Engine:
    """A portable engine.

    Attributes:
      name: `prism` or `python`.
      server: where its job service listens.
      pool: its workers, which do not see this process's folder as theirs.
    """

    name: str
    server: servers.Server
    pool: servers.Server

    @property
    def flags(self) -> list[str]:
        """Beam's flags to run a job there."""
        return [*self.without_workers, "--environment_type=EXTERNAL", f"--environment_config={self.pool.address}"]

    @property
    def without_workers(self) -> list[str]:
        """The flags of its job service only."""
        return ["--runner=PortableRunner", f"--job_endpoint={self.server.address}"]


@pytest.fixture(scope="session")
def pool():
    """A pool of worker processes in a folder of its own."""
    with servers.worker_pool() as server:
        yield server


@pytest.fixture(scope="session")
def prism(pool):
    """Beam's Prism; skips where it is not built."""
    if not servers.PRISM.exists():
        pytest.skip(f"{servers.PRISM} is not there: `make prism` builds it, with Go (ten minutes)")
    with servers.prism() as server:
        yield Engine("prism", server, pool)


@pytest.fixture(scope="session")
def python_service(pool):
    """Beam's job service in Python."""
    with servers.python_service() as server:
        yield Engine("python", server, pool)


@pytest.fixture(params=["prism", "python_service"])
def portable(request):
    """Each portable engine."""
    return request.getfixturevalue(request.param)
