"""Mistakes with engines are one line, in seconds, before anything starts."""

import socket
import time

import apache_beam as beam
import pytest

from coltran.errors import UserError
from pipelines.beam import engine, options as beam_options
from tests.pipelines.beam import servers

PORTABLE = "--runner=PortableRunner"
DATAFLOW = [
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=europe-west4",
    "--temp_location=gs://bucket/tmp",
]


@pytest.fixture
def nobody():
    """An address of this machine where nobody listens."""
    return f"localhost:{servers.free_port()}"


@pytest.fixture
def no_service():
    """An address where something listens that is no job server and never answers, as a port of Flink's may be."""
    with socket.create_server(("localhost", 0)) as server:
        yield f"localhost:{server.getsockname()[1]}"


def refused(flags) -> str:
    """The one line for a job with these flags."""
    started = time.monotonic()
    with pytest.raises(UserError) as raised:
        engine.run_pipeline(lambda p: p | beam.Create([1]), beam_options.beam_options(flags))
    assert time.monotonic() - started < 10
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--runner=DatflowRunner"], "--runner=DatflowRunner: Beam has no such runner. Did you mean 'DataflowRunner'?"),
        (["--runner=Flinkrunnner"], "Did you mean 'FlinkRunner'?"),
        (["--runner=DaskRunner"], "wrong results"),
        (["--runner=DataflowRunner"], "also needs --project, --region, --temp_location=gs://BUCKET/tmp"),
        ([*DATAFLOW[:2], DATAFLOW[3]], "also needs --region"),
        ([*DATAFLOW[:3], "--temp_location=/tmp/x"], "Invalid GCS path (/tmp/x)"),
        ([*DATAFLOW, "--project=12"], "Invalid Project ID (12)"),
        ([*DATAFLOW, "--job_name=A job"], "Invalid job_name (A job)"),
        ([*DATAFLOW, "--number_of_execution_retries=3"], "unknown option '--number_of_execution_retries'"),
        (["--template_location=gs://bucket/job"], "give --runner=DataflowRunner too"),
        (["--no_wait"], "--runner=FnApiRunner runs inside this command"),
        ([PORTABLE, "--job_endpoint=localhost:1", "--environment_type=LOOPBACK", "--no_wait"], "would end with this"),
        (["--runner=flink", "--no_wait"], "give --job_endpoint=HOST:PORT of a job server that stays"),
        ([PORTABLE], "--runner=PortableRunner needs a job server: give --job_endpoint=HOST:PORT"),
        ([PORTABLE, "--job_endpoint=http://localhost:8099"], "expected HOST:PORT, such as localhost:8099"),
        (["--runner=FlinkRunner", "--flink_job_server_jar=/no/flink.jar"], "/no/flink.jar: no such file"),
        (["--runner=SparkRunner", "--spark_job_server_jar=/no/spark.jar"], "/no/spark.jar: no such file"),
        (["--runner=FlinkRunner", "--job_server_java_launcher=/no/java"], "there is no '/no/java'; install Java"),
    ],
)
def test_flags_that_do_not_go_together(flags, message):
    assert message in refused(flags)


def test_dataflow_without_credentials(monkeypatch, tmp_path):
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert "found no credentials for Google Cloud" in refused(DATAFLOW)


def test_a_job_server_that_does_not_listen(nobody):
    line = refused([PORTABLE, f"--job_endpoint={nobody}"])
    assert line.startswith(f"--job_endpoint {nobody}: no job server listens there; start it, or correct the address (")


def test_a_port_that_is_no_job_servers(no_service):
    assert "does not answer as a Beam job server" in refused([PORTABLE, f"--job_endpoint={no_service}"])


@pytest.mark.slow
def test_a_pool_that_does_not_listen(portable, nobody):
    """Prism would crash."""
    flags = [*portable.without_workers, "--environment_type=EXTERNAL", f"--environment_config={nobody}"]
    assert f"--environment_config {nobody}: no pool of workers listens there; start it with" in refused(flags)
    assert portable.server.process.poll() is None


def test_paths_that_dataflow_cannot_see():
    options = beam_options.beam_options(DATAFLOW)
    beam_options.check_paths(options, {"--source": "gs://bucket/photos", "--out": None})
    with pytest.raises(UserError, match=r"--out /data/records: lies on this machine"):
        beam_options.check_paths(options, {"--source": "gs://bucket/photos", "--out": "/data/records"})
    beam_options.check_paths(beam_options.beam_options([]), {"--out": "/data/records"})


@pytest.mark.parametrize(
    ("flags", "workers"),
    [
        ([], 2),
        (["--direct_num_workers=5"], 5),
        ([*DATAFLOW], 1),
        ([*DATAFLOW, "--max_num_workers=50", "--machine_type=n2-standard-8"], 400),
        ([*DATAFLOW, "--num_workers=3", "--machine_type=custom-4-16384"], 12),
        ([*DATAFLOW, "--num_workers=3", "--number_of_worker_harness_threads=2", "--machine_type=n1-standard-4"], 24),
        ([*DATAFLOW, "--max_num_workers=4", "--experiments=no_use_multiple_sdk_containers"], 4),
        ([PORTABLE, "--job_endpoint=h:1", "--parallelism=6", "--sdk_worker_parallelism=4"], 24),
        (["--runner=FlinkRunner"], 1),
        ([PORTABLE, "--job_endpoint=h:1", "--sdk_worker_parallelism=0"], 1),
    ],
)
def test_workers_asked_for(flags, workers):
    assert beam_options.workers(beam_options.beam_options(flags)) == workers


@pytest.mark.parametrize(
    ("flags", "place"),
    [
        ([], None),
        ([*DATAFLOW, "--template_location=gs://bucket/job"], "gs://bucket/job"),
        ([*DATAFLOW, "--dataflow_job_file=/tmp/job"], None),  # Beam submits the job, too
        ([*DATAFLOW, "--dry_run=True"], "nowhere (--dry_run)"),
        (["--runner=FlinkRunner", "--output_executable_path=job.jar"], "job.jar"),
    ],
)
def test_jobs_that_are_only_written(flags, place):
    options = beam_options.beam_options(flags)
    assert beam_options.written_to(options) == place
    assert beam_options.only_writes_template(options) is (place is not None)
