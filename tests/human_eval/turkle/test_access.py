"""Addresses, tokens and servers that are wrong: one line for each, and no token in any of them."""

import http.server
import json
import socket
import threading

import pytest

from coltran.errors import UserError
from human_eval import study
from human_eval.turkle import access, results, service
from human_eval.turkle.client import Client, Unanswered
from human_eval.turkle.service import Turkle

SECRET = "0123456789abcdef-the-token"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://turkle.example.org/", "https://turkle.example.org"),
        ("https://turkle.example.org:8443/crowd/api/", "https://turkle.example.org:8443/crowd"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_addresses_are_taken(url, address):
    assert access.read_address(url) == address


@pytest.mark.parametrize(
    "url", ["turkle.example.org", "ftp://a.example", "https://", "https://a.example/?x=1", "https://a.example:port/"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UserError, match="expected an address such as"):
        access.read_address(url)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(UserError, match="without user and password") as error:
        access.read_address(f"https://ann:{SECRET}@turkle.example.org/")
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("url", ["http://turkle.example.org/", "http://127.0.0.1.example.org/", "http://10.0.0.7/"])
def test_the_token_does_not_travel_in_clear(url):
    with pytest.raises(UserError, match="in clear"):
        access.read_address(url)
    assert access.read_address(url, insecure=True) == url.rstrip("/")


def test_the_token_comes_from_the_environment_or_a_private_file(tmp_path, monkeypatch):
    monkeypatch.delenv(access.TOKEN_VARIABLE, raising=False)
    with pytest.raises(UserError, match="no token"):
        access.read_token(None)
    monkeypatch.setenv(access.TOKEN_VARIABLE, f"{SECRET}\n")
    assert access.read_token(None) == SECRET
    file = tmp_path / "token"
    with pytest.raises(UserError, match="no such file"):
        access.read_token(str(file))
    file.write_text("another\n")
    file.chmod(0o640)
    with pytest.raises(UserError, match="others may read it"):
        access.read_token(str(file))
    file.chmod(0o600)
    assert access.read_token(str(file)) == "another"
    file.write_text(f"{SECRET} {SECRET}")
    with pytest.raises(UserError, match="one token") as error:
        access.read_token(str(file))
    assert SECRET not in str(error.value)


@pytest.fixture
def answering():
    """`answering(status, body, **headers)`: address of a server that answers so to everything, and its requests."""
    servers = []

    def start(status: int, body: bytes = b"", **headers: str) -> tuple[str, list]:
        requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                requests.append(self.headers)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}", requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>hello</html>", "is no JSON"),
        (200, b"[1, 2]", "is no Turkle server"),
        (200, b'{"paths": {"/api/pets/": {}}}', "is no Turkle server"),
        (200, b'{"paths": {"/api/projects/": {}, "/api/batches/": {}}}', "has no api/projects/{id}/batches/"),
        (404, b"", "is no Turkle server"),
        (401, b"", "does not know this token"),
        (403, b"", "has to be of its staff"),
        (400, b"that is\n wrong", "400: that is wrong"),
    ],
)
def test_a_server_that_is_no_turkle_server_gets_one_line(answering, status, body, message):
    address, requests = answering(status, body)
    with pytest.raises(UserError) as error:
        Turkle(Client(address, SECRET, pause=0))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert SECRET not in str(error.value)
    assert len(requests) == 1
    assert requests[0]["Authorization"] == f"Token {SECRET}"


@pytest.fixture
def another_version(answering):
    """A server whose schema is Turkle's, and whose answers are of another shape."""
    paths = {f"/api{part}": {} for part in service._NEEDED}
    address, _ = answering(200, json.dumps({"paths": paths, "results": [{"id": "/../../x"}], "next": None}).encode())
    return Turkle(Client(address, SECRET, pause=0))


@pytest.mark.parametrize(
    "ask",
    [
        lambda turkle: list(turkle.projects()),
        lambda turkle: list(turkle.batches(1)),
        lambda turkle: turkle.project(1),
        lambda turkle: turkle.finished(1),
        lambda turkle: turkle.make_project(name="n", mark="m", template="", raters=1, hours=1),
    ],
)
def test_answers_of_another_shape_are_one_line(another_version, ask):
    with pytest.raises(UserError, match=r"answers otherwise than Turkle 3\.1 does"):
        ask(another_version)


def test_a_refused_download_is_not_explained_by_names(answering):
    address, _ = answering(403)
    turkle = Turkle.__new__(Turkle)  # past the question whether it is a Turkle server
    turkle._client = Client(address, SECRET, pause=0)
    turkle.finished = lambda batch: 1
    with pytest.raises(UserError, match="may not do this") as error:
        results.download(turkle, 1)
    assert "ASCII" not in str(error.value)


def test_a_password_in_an_address_is_not_shown():
    with pytest.raises(UserError) as error:
        access.read_address("https://me:pass/word@turkle.example.org/")
    assert "word" not in str(error.value)


def test_a_host_in_capitals_is_the_same_server():
    assert access.read_address("https://Turkle.Example.org/") == "https://turkle.example.org"


def test_a_redirection_does_not_take_the_token_along(answering):
    other, taken = answering(200)
    address, _ = answering(302, Location=other)
    with pytest.raises(UserError, match="sends on to another address"):
        Turkle(Client(address, SECRET))
    assert not taken


def test_reading_is_repeated_a_few_times_and_writing_is_not(answering):
    address, requests = answering(503)
    client = Client(address, SECRET, pause=0)
    with pytest.raises(Unanswered, match="answers 503"):
        client.get("projects/")
    assert len(requests) == 4
    with pytest.raises(Unanswered, match="answers 503"):
        client.post("projects/", {})
    assert len(requests) == 5


def test_a_server_that_is_silent_is_not_waited_for_forever():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", SECRET, pause=0, timeout=(0.2, 0.2))
        with pytest.raises(Unanswered, match=r"no answer within 0\.4 seconds"):
            client.get("projects/")


def test_no_server_is_one_line(exported, monkeypatch, capsys):
    monkeypatch.setenv(access.TOKEN_VARIABLE, SECRET)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    for command in ("publish", "status", "fetch"):
        assert study.main([command, f"--study={exported}", f"--turkle={address}"]) == 2
        error = capsys.readouterr().err
        assert "cannot be reached" in error
        assert error.count("\n") == 1


def test_wrong_tokens_and_raters_tokens_are_refused(turkle, exported, monkeypatch, capsys):
    for token, message in ((SECRET, "(401)"), (turkle.tokens["ann"], "(403)")):
        monkeypatch.setenv(access.TOKEN_VARIABLE, token)
        for command in ("publish", "status", "fetch"):
            assert study.main([command, f"--study={exported}", f"--turkle={turkle.address}"]) == 2
            error = capsys.readouterr().err
            assert message in error
            assert token not in error
            assert error.count("\n") == 1
