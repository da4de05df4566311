"""Jobs on Dataflow: submitted by Beam, and asked about later, against a stand-in that speaks the service's REST."""

import http.server
import json
import re
import threading
from typing import ClassVar

import pytest

from coltran.errors import UserError
from pipelines import preprocess
from pipelines.beam import submitted
from tests.pipelines.test_cloud import upload

JOB = "2026-11-26_10_00_00-123"
SMALL = ["--hi=32", "--lo=16", "--num_shards=3"]


class _Dataflow(http.server.BaseHTTPRequestHandler):
    """Accepts one job and says of it what the test says."""

    jobs: ClassVar[dict[str, str]] = {}
    status = 200
    new_job = "JOB_STATE_RUNNING"
    messages = ()

    def _answer(self, status: int, fields: dict) -> None:
        data = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if self.status != 200:
            return self._answer(self.status, {"error": {"code": self.status, "message": "no", "status": "X"}})
        found = re.fullmatch(r"/v1b3/projects/my-project/locations/europe-west4/jobs(?:/([^/]+))?(/messages)?", path)
        name, messages = found.groups()
        if messages:
            return self._answer(200, {"jobMessages": [{"messageText": text} for text in self.messages]})
        if name is None:
            self.jobs[JOB] = self.new_job
        name = name or JOB
        if name not in self.jobs:
            return self._answer(404, {"error": {"code": 404, "message": "no such job", "status": "NOT_FOUND"}})
        self._answer(200, {"id": name, "currentState": self.jobs[name]})

    do_GET = do_POST = _serve

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service(monkeypatch):
    """The stand-in's address; it has no job yet."""
    monkeypatch.setattr(_Dataflow, "jobs", {})
    server = http.server.ThreadingHTTPServer(("localhost", 0), _Dataflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def place(service):
    """As `options.job_place` makes it."""
    place = {"runner": "DataflowRunner", "project": "my-project", "region": "europe-west4"}
    return place | {"dataflow_endpoint": service, "no_auth": "true"}


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("JOB_STATE_QUEUED", "running"),
        ("JOB_STATE_PENDING", "running"),
        ("JOB_STATE_CANCELLING", "running"),
        ("JOB_STATE_DONE", "done"),
        ("JOB_STATE_FAILED", "failed"),
        ("JOB_STATE_CANCELLED", "failed"),
        (None, "gone"),
    ],
)
def test_states(place, told, state):
    if told:
        _Dataflow.jobs[JOB] = told
    assert submitted.state(JOB, place) == state


def test_a_service_that_refuses_or_is_not_there(place, monkeypatch):
    monkeypatch.setattr(_Dataflow, "status", 403)
    with pytest.raises(UserError, match="project my-project, region europe-west4: these credentials may not ask"):
        submitted.state(JOB, place)
    monkeypatch.setattr(_Dataflow, "status", 503)
    assert submitted.state(JOB, place) == "unreachable"
    assert submitted.state(JOB, {**place, "dataflow_endpoint": "http://localhost:1"}) == "unreachable"


def test_waiting_tells_each_change_and_the_end(place, capsys):
    _Dataflow.jobs[JOB] = "JOB_STATE_RUNNING"
    threading.Timer(0.5, _Dataflow.jobs.update, [{JOB: "JOB_STATE_FAILED"}]).start()
    assert submitted.wait(JOB, place, every=0.1) == "failed"
    assert capsys.readouterr().err == f"job {JOB}: running\njob {JOB}: failed\n"


def test_what_went_wrong(place, monkeypatch):
    _Dataflow.jobs[JOB] = "JOB_STATE_FAILED"
    monkeypatch.setattr(_Dataflow, "messages", ("a step was slow", "Workflow failed. Causes: quota"))
    assert submitted.failure(JOB, place) == "Workflow failed. Causes: quota"


@pytest.mark.slow
def test_a_job_is_handed_over_to_dataflow(service, photo_folder, bucket, capsys, monkeypatch):
    source, out = upload(photo_folder, bucket, "photos"), f"{bucket}/records/train"
    arguments = [f"--source={source}", f"--out={out}", *SMALL, "--runner=DataflowRunner", "--project=my-project"]
    arguments += ["--region=europe-west4", "--no_auth", f"--temp_location={bucket}/tmp"]
    arguments += [f"--dataflow_endpoint={service}"]
    assert preprocess.main([*arguments, "--no_wait"]) == 0
    assert JOB in capsys.readouterr().out
    assert preprocess.main(arguments) == 2  # it still runs
    assert f"job {JOB} of DataflowRunner my-project" in capsys.readouterr().err
    _Dataflow.jobs[JOB] = "JOB_STATE_FAILED"
    monkeypatch.setattr(_Dataflow, "new_job", "JOB_STATE_FAILED")
    assert preprocess.main(arguments) == 2  # another job takes what is missing
    line = f"coltran-preprocess: job {JOB} failed on DataflowRunner: FAILED, the engine gives no reason; see its page"
    assert line in capsys.readouterr().err
