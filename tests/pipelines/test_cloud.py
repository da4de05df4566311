"""Cloud Storage as a user meets it: a server of its protocol on loopback, one that stumbles, and ones that refuse."""

import http.server
import itertools
import os
import re
import threading
import urllib.error
import urllib.request

import pytest

from coltran import cloud_storage, storage
from coltran.errors import UserError
from coltran.records import folder as record_folder, schema
from coltran.training import inputs
from pipelines import preprocess
from tests.pipelines.sources.test_packings import record_rows

SMALL = ["--hi=32", "--lo=16", "--num_shards=3"]


def upload(folder, bucket: str, name: str) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            storage.write_bytes(f"{bucket}/{name}/{path.relative_to(folder)}", path.read_bytes())
    return f"{bucket}/{name}"


def test_from_bucket_to_bucket_and_into_training(photo_folder, truth_folder, bucket, capsys):
    source, out = upload(photo_folder, bucket, "photos"), f"{bucket}/records/train"
    assert preprocess.main(["--source", source, "--out", out, *SMALL]) == 0
    assert "12 read = 12 written + 0 rejected" in capsys.readouterr().out
    assert record_rows(out) == record_rows(truth_folder)
    left = [name for name, _ in storage.list_files(out)]
    assert not [name for name in left if name.startswith("_")]
    assert preprocess.main(["--verify", out]) == 0
    with inputs.Examples(out, "colorizer") as cloud, inputs.Examples(str(truth_folder), "colorizer") as local:
        for there, here in zip(
            inputs.training_batches(cloud, 5, 1, 0, 4), inputs.training_batches(local, 5, 1, 0, 4), strict=True
        ):
            assert there.keys() == here.keys()
            assert all((there[name] == here[name]).all() for name in here)


@pytest.mark.slow
def test_the_480_photos_from_bucket_to_bucket(shared_data, bucket, capsys):
    source, out = upload(shared_data / "photos", bucket, "real"), f"{bucket}/real_records"
    assert preprocess.main(["--source", source, "--out", out]) == 0
    assert "480 read = 480 written + 0 rejected" in capsys.readouterr().out
    with inputs.Examples(out, "spatial_upsampler") as examples:
        assert len(examples) == 480
        seen = sum(len(batch["gray"]) for batch in inputs.training_batches(examples, 16, 0, 0, 30))
    assert seen == 480


class _Stumbling(http.server.BaseHTTPRequestHandler):
    """Hands requests on to the emulator, but answers every fourth with "503, try again"."""

    protocol_version = "HTTP/1.1"
    behind = ""
    count = itertools.count(1)
    refused = 0

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if next(self.count) % 4 == 0:
            type(self).refused += 1
            return self._answer(503, b"{}", {})
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "accept-encoding")}
        request = urllib.request.Request(self.behind + self.path, body or None, kept, method=self.command)
        try:
            with urllib.request.urlopen(request) as response:
                self._answer(response.status, response.read(), response.headers)
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read(), error.headers)

    def _answer(self, status: int, body: bytes, headers) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                self.send_header(name, value.replace(self.behind, f"http://{self.headers['Host']}"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _hand_on

    def log_message(self, *_: object) -> None:
        pass


class _Refusing(_Stumbling):
    status = 403

    def _hand_on(self) -> None:
        self._answer(self.status, b'{"error": {"message": "no"}}', {"Content-Type": "application/json"})

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _hand_on


@pytest.fixture
def serve(monkeypatch):
    """serve(handler) -> its address, which storage then talks to."""
    servers = []

    def start(handler) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.handle_error = lambda *_: None  # clients that hang up
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        cloud_storage.client.cache_clear()
        return address

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
    cloud_storage.client.cache_clear()


@pytest.mark.slow
def test_transient_errors_are_retried(photo_folder, truth_folder, bucket, serve):
    source = upload(photo_folder, bucket, "photos2")
    _Stumbling.behind = os.environ["STORAGE_EMULATOR_HOST"]
    serve(_Stumbling)
    out = f"{bucket}/stumbling/train"
    assert preprocess.main(["--source", source, "--out", out, *SMALL]) == 0
    assert _Stumbling.refused > 5
    assert record_rows(out) == record_rows(truth_folder)


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "no access to bucket 'photos'; what is not public needs credentials"), (404, "there is no bucket 'photos'")],
)
def test_no_access_is_said_at_once(status, message, photo_folder, serve, capsys, monkeypatch):
    monkeypatch.setattr(_Refusing, "status", status)
    serve(_Refusing)
    assert preprocess.main(["--source", str(photo_folder), "--out", "gs://photos/out", *SMALL]) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(rf"coltran-preprocess: gs://photos/out: {re.escape(message)}.*\n", err)
    with pytest.raises(UserError):
        record_folder.open_folder("gs://photos/records", schema=schema.TRUTH)


def test_no_answer_is_said_at_once(photo_folder, serve, capsys):
    address = serve(_Refusing)
    port = int(address.rpartition(":")[2])
    assert port
    os.environ["STORAGE_EMULATOR_HOST"] = "http://127.0.0.1:9"  # nobody listens there
    cloud_storage.client.cache_clear()
    assert preprocess.main(["--source", "gs://photos/x", "--out", "/nowhere", *SMALL]) == 2
    assert "gs://photos/x: Cloud Storage does not answer" in capsys.readouterr().err
