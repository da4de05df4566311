"""A real Turkle server on loopback, raters who answer through its pages, and a network that fails on purpose."""

import contextlib
import dataclasses
import html
import http.client
import http.server
import importlib.util
import itertools
import json
import pathlib
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
import requests

from human_eval import study
from human_eval.folder.rater_ids import is_flipped

HERE = pathlib.Path(__file__).parent
STAFF, WORKER = "organizer", "ann"
RATERS = (WORKER, "ben")
_NUMBERS = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Server:
    """Where it is, the tokens of its accounts by name, and its database; passwords are the names."""

    address: str
    tokens: dict[str, str]
    database: pathlib.Path

    def call(self, path: str, body: dict | None = None, method: str | None = None) -> dict:
        """Its REST API, as the organizer."""
        headers = {"Authorization": f"Token {self.tokens[STAFF]}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/api/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:2000]) from None

    def query(self, statement: str, *values: object) -> list[tuple]:
        """Reads or changes its database behind its back."""
        with contextlib.closing(sqlite3.connect(self.database)) as database, database:
            return database.execute(statement, values).fetchall()


def _django(*command: str) -> str:
    whole = [sys.executable, "-W", "ignore", "-m", "django", *command]
    return subprocess.run(whole, check=True, capture_output=True, text=True, cwd=HERE).stdout


@pytest.fixture(scope="session")
def turkle(tmp_path_factory):
    """The server, with the staff account `organizer` and the raters `ann` and `ben`."""
    if importlib.util.find_spec("turkle") is None:
        pytest.skip("Turkle is not installed (make install)")
    folder = tmp_path_factory.mktemp("turkle")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {"DJANGO_SETTINGS_MODULE": "turkle_site", "TURKLE_DATABASE": str(folder / "turkle.sqlite")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PYTHONPATH": str(HERE), **settings}.items():
            patch.setenv(name, value)
        _django("migrate", "--verbosity=0")
        tokens = _django("shell", f"--command={_accounts()}")
        with open(folder / "turkle.log", "wb") as log:
            command = [sys.executable, "-W", "ignore", "-m", "django", "runserver", "--noreload", address]
            server = subprocess.Popen(command, cwd=folder, stderr=log, stdout=log)
            try:
                _until_it_answers(f"http://{address}/", folder / "turkle.log")
                yield Server(f"http://{address}", json.loads(tokens.splitlines()[-1]), folder / "turkle.sqlite")
            finally:
                server.terminate()
                server.wait()


def _accounts() -> str:
    return (
        "import json; from django.contrib.auth.models import User as U; "
        "from rest_framework.authtoken.models import Token as T; "
        f"a = [U.objects.create_superuser({STAFF!r}, password={STAFF!r})]; "
        f"a += [U.objects.create_user(name, password=name) for name in {RATERS!r}]; "
        "print(json.dumps({u.username: T.objects.create(user=u).key for u in a}))"
    )


def _until_it_answers(address: str, log: pathlib.Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.fixture
def token(turkle, monkeypatch):
    """The organizer's token, in the environment."""
    monkeypatch.setenv("TURKLE_TOKEN", turkle.tokens[STAFF])
    return turkle.tokens[STAFF]


@pytest.fixture
def exported(new_study, tmp_path):
    """A study folder of its own name, 3 forms with 3 photos each for 2 raters, exported for Turkle."""
    number = next(_NUMBERS).to_bytes(2, "big")  # a study's name depends on the first bytes of its secret
    folder = new_study(tmp_path / "study", images=9, samples=1, block=3, raters=2, secret=number + b" of the tests")
    export(folder)
    return folder


def export(folder, *more: str) -> None:
    where = "--image_url=https://images.example.org/study/"
    assert study.main(["export", f"--study={folder}", "--format=turkle", where, *more]) == 0


@pytest.fixture(name="export")
def _export():
    """`export(folder, *flags)`: exports a study for Turkle."""
    return export


class PageRater:
    """A rater with a web browser's session but without a browser; always says that the second photo is fake."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name
        self.session = requests.Session()
        self.session.trust_env = False
        page = self.session.get(f"{server.address}/login/").text
        self._post(f"{server.address}/login/", page, username=name, password=name)

    def _post(self, url: str, page: str, **fields: str) -> requests.Response:
        [token, *_] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        reply = self.session.post(url, data={"csrfmiddlewaretoken": token, **fields}, headers={"Referer": url})
        assert reply.ok, reply.text[:500]
        return reply

    def accept(self, batch: int) -> tuple[int, int] | None:
        """(task, assignment) of the next form; None where there is none."""
        reply = self.session.get(f"{self.server.address}/batch/{batch}/accept_next_task/")
        found = re.search(r"/task/(\d+)/assignment/(\d+)/", reply.url)
        return (int(found[1]), int(found[2])) if found else None

    def give_back(self, task: int, assignment: int) -> None:
        url = f"{self.server.address}/task/{task}/assignment/{assignment}/"
        self._post(f"{url}return/", self.session.get(url).text)

    def submit(self, task: int, assignment: int, comment: str = "", *, escaped: bool = True) -> int:
        """Answers all pairs of an accepted form as the page does, with JSON in ASCII; returns the form's number."""
        inside = self.session.get(f"{self.server.address}/task/{task}/assignment/iframe/{assignment}/").text
        result = self._answers(inside, assignment, comment)
        url = f"{self.server.address}/task/{task}/assignment/{assignment}/"
        self._post(url, inside, result=json.dumps(result, ensure_ascii=escaped))
        return result["form"]

    def _answers(self, page: str, assignment: int, comment: str) -> dict:
        form, words = re.search(r'<p id="task" data-form="(\d+)" hidden>([^<]*)</p>', html.unescape(page)).groups()
        trials = []
        for word in words.split():
            trial, *names = word.split(":")[:3]
            shown = [f"{name}.png" for name in names]
            shown = shown[::-1] if is_flipped(str(assignment), int(trial)) else shown
            exposures = [{"planned_ms": 1000, "actual_ms": 1000.0, "frame_ms": 16.7, "dropped": 0}] * 2
            about = {"trial": int(trial), "shown": shown, "fake": shown[1], "response_ms": 800, "restarts": 0}
            trials.append({**about, "interrupted": False, "exposures": exposures})
        about = {"pilot": '"pilot":true' in page, "form": int(form), "rater": "", "assignment": str(assignment)}
        return {**about, "flip": str(assignment), "comment": comment, "trials": trials}

    def answer_all(self, batch: int) -> list[int]:
        """Answers every form that the server still has for this rater."""
        forms = []
        while (accepted := self.accept(batch)) is not None:
            forms.append(self.submit(*accepted))
        return forms


@pytest.fixture
def page_rater(turkle):
    """`page_rater(name)`: see PageRater."""
    return lambda name: PageRater(turkle, name)


class Between:
    """A network between a command and the server. `fault(method, path, count)` may say what goes wrong.

    `seen` and `done` list the requests that arrived here, and those that the server has done. `count` is how many
    requests of this kind came before. Faults: `lost` (the request never arrives), `unheard` (it is done, but the answer
    never arrives), and a number (answered with that status, not done). It may also act itself.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.fault = lambda method, path, count: None
        self.seen: list[str] = []
        self.done: list[str] = []
        self.authorizations: set[str] = set()
        between = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                between.handle(self)

            do_POST = do_PATCH = do_GET

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def handle(self, handler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        kind = re.sub(r"\d+", "N", f"{handler.command} {handler.path.partition('?')[0]}")
        count = self.seen.count(kind)
        self.seen.append(kind)
        self.authorizations.add(handler.headers.get("Authorization", ""))
        fault = self.fault(*kind.split(), count)
        if fault == "lost":
            handler.close_connection = True
            return
        if isinstance(fault, int):
            handler.send_error(fault)
            return
        far = http.client.HTTPConnection(self.server.address.removeprefix("http://"))
        kept = {name: value for name, value in handler.headers.items() if name not in ("Host", "Connection")}
        far.request(handler.command, handler.path, body, kept)
        reply = far.getresponse()
        data = reply.read()
        self.done.append(kind)
        if fault == "unheard":
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.headers["Content-Type"])
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


@pytest.fixture
def between(turkle):
    """See Between."""
    network = Between(turkle)
    yield network
    network.http.shutdown()
    network.http.server_close()


@pytest.fixture
def forms_of(turkle):
    """`forms_of(study)`: forms on the server for a study's name, once for each task, of all projects and batches."""
    tasks = (
        "SELECT input_csv_fields FROM turkle_task JOIN turkle_batch ON batch_id = turkle_batch.id "
        "JOIN turkle_project ON project_id = turkle_project.id WHERE turkle_project.filename = ?"
    )

    def forms(name: str) -> list[int]:
        return sorted(int(json.loads(fields)["form"]) for (fields,) in turkle.query(tasks, f"{name}.html"))

    return forms
