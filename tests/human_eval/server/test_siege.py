"""60 raters at once, beside slow clients and squatters, while the server is killed twice."""

import collections
import concurrent.futures
import http.client
import json
import os
import re
import resource
import socket
import sqlite3
import threading
import time
from urllib.parse import quote

import pytest

from human_eval import study
from human_eval.answers import ratings
from human_eval.folder import layout
from human_eval.server import database, tokens as server_tokens
from tests.human_eval.server.processes import PATIENCE, Process


class Browser:
    """A plain HTTP client of one rater: goes on where the server was away, and keeps what it was told."""

    def __init__(self, port: int, seen) -> None:
        self._port, self._seen, self._connection = port, seen, None

    def ask(self, method: str, path: str, body: dict | None = None) -> tuple[int, bytes]:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
                data = None if body is None else json.dumps(body).encode()
                self._connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
                response = self._connection.getresponse()
                found = response.status, response.read()
                self._seen(found[1])
                return found
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline, "the server did not come back"
                self._connection.close()
                self._connection = None
                time.sleep(0.05)


class Crowd:
    """60 raters, what they were told, and a switch that kills the server at chosen numbers of accepted answers."""

    def __init__(self, server: Process, kit, kill_at: list[int]) -> None:
        self.server, self.kit = server, kit
        self.lock = threading.Lock()
        self.kill_at = kill_at
        self.accepted: dict[tuple[str, int], dict] = {}
        self.codes: dict[str, dict] = {}
        self.bodies: set[bytes] = set()
        self.statuses: collections.Counter = collections.Counter()

    def seen(self, body: bytes) -> None:
        with self.lock:
            self.bodies.add(body)

    def count(self, status: int) -> None:
        with self.lock:
            self.statuses[status] += 1

    def accept(self, body: dict) -> None:
        with self.lock:
            sitting = body["session"].partition("-")[0]
            self.accepted[sitting, body["trial"]] = body
            if self.kill_at and len(self.accepted) >= self.kill_at[0]:
                del self.kill_at[0]
                # While others are in the middle of their requests.
                self.server.kill()
                self.server.start()

    def rate(self, number: int) -> str:
        """One rater: one form, every trial; returns how it ended."""
        browser = Browser(self.server.port, self.seen)
        name = f"rater-{number:03d}"
        status, data = browser.ask("GET", f"/?PROLIFIC_PID={quote(name)}&STUDY_ID=s&SESSION_ID=t")
        assert status == 200, data
        if b'id="study"' not in data:
            return re.search(rb"<h1>(.*?)</h1>", data)[1].decode()
        page = self.kit.Page(None, data.decode())
        for place, trial in enumerate(page.trials):
            if number % 8 == 7 and place == 5:
                return "abandoned"
            browser.ask("GET", f"/images/{trial['images'][number % 2]}")
            body = page.body(place, call=(number + place) % 2, response_ms=700 + number + place / 10)
            times = 2 if (number + place) % 5 == 0 else 1
            for _ in range(times):
                status, data = browser.ask("POST", "/api/answer", body)
                self.count(status)
                if status == 410:  # somebody else has the place by now
                    return "late"
                assert status == 200, data
            self.accept(body)
        status, data = browser.ask("POST", "/api/finish", page.end(comment=f"comment {number}"))
        if status == 410:
            return "late"
        assert status == 200, data
        with self.lock:
            self.codes[page.about["session"]] = json.loads(data)
        assert json.loads(browser.ask("POST", "/api/finish", page.end())[1]) == json.loads(data)
        return "finished"


class Siege(threading.Thread):
    """1,100 connections that say nothing or one letter now and then. Closed ones come again, also after a kill."""

    def __init__(self, port: int, connections: int = 1100) -> None:
        super().__init__(daemon=True)
        self._port, self._wanted, self._sockets = port, connections, []
        self.over, self.most = threading.Event(), 0

    def run(self) -> None:
        while not self.over.wait(0.2):
            self._sockets = [one for one in self._sockets if self._is_open(one)]
            while len(self._sockets) < self._wanted and not self.over.is_set():
                try:
                    self._sockets.append(socket.create_connection(("127.0.0.1", self._port), timeout=0.5))
                except OSError:
                    break
            self.most = max(self.most, len(self._sockets))
        for one in self._sockets:
            one.close()

    def _is_open(self, one: socket.socket) -> bool:
        try:
            one.setblocking(False)
            if self._sockets.index(one) % 2:
                one.send(
                    b"G" if self._sockets.index(one) % 3 else b"POST /api/answer HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"
                )
            return one.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False


@pytest.mark.slow
def test_sixty_raters_at_once_under_siege_and_two_kills(new_process, kit, listed, tmp_path, capsys):
    design = kit.make_design(images=40, block=10, raters=5)  # 12 forms of 13 trials: 60 sittings
    folder = kit.write_study(tmp_path / "study", design)
    limits = [f"--{name}_limit=1000000" for name in ("address", "session", "new_rater")]
    server = new_process(folder, "--access=prolific", "--completion_url=https://example.org/?c={code}", *limits)
    server.start()
    crowd = Crowd(server, kit, kill_at=[200, 500])
    squatters = Browser(server.port, crowd.seen)
    for number in range(60):  # As many invented names as there are places. Nobody of them ever answers.
        assert b'id="study"' in squatters.ask("GET", f"/?PROLIFIC_PID=squatter-{number}")[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    siege = Siege(server.port)
    siege.start()
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        ends = collections.Counter(pool.map(crowd.rate, range(60)))
    assert not crowd.kill_at
    assert ends["abandoned"] == 7
    assert ends["finished"] == 53
    siege.over.set()
    siege.join()
    assert siege.most > 500
    # The places that were left go to others, once their lease is over.
    server.kill()
    server.start("--lease=0.0001")
    number = 60
    while (ended := crowd.rate(number)) != "The study is complete":
        assert number < 200, ended
        number += 1
    token = (folder / "private" / "organizer_token").read_text().strip()
    browser = Browser(server.port, crowd.seen)
    progress = browser.ask("GET", f"/organizer?token={token}")[1].decode()
    assert "60 of 60 sittings are finished" in progress
    assert "each pair has 5 to 5 ratings" in progress
    server.kill()

    path = folder / "private" / "server.sqlite"
    with database.opened(path) as connection:
        saved = {
            (sitting, trial): json.loads(answer)
            for sitting, trial, answer in connection.execute("SELECT sitting, trial, answer FROM answers")
        }
        sittings = connection.execute(
            "SELECT sitting, form, slot, state, code, redirect, turn FROM sittings"
        ).fetchall()
    for name, body in crowd.accepted.items():
        found = saved[name]
        assert (found["shown"], found["fake"], found["response_ms"]) == (
            body["shown"],
            body["fake"],
            body["response_ms"],
        )
    finished = [row for row in sittings if row[3] == "finished"]
    told = {server_tokens.session_token(layout.names_key(design, kit.SECRET), row[0], row[6]): row for row in finished}
    assert {token: {"code": row[4], "redirect": row[5]} for token, row in told.items()} == crowd.codes
    assert collections.Counter(row[1] for row in finished) == dict.fromkeys(range(12), 5)
    assert collections.Counter((row[1], row[2]) for row in finished) == {(f, s): 1 for f in range(12) for s in range(5)}

    pairs = listed(design)
    done = {row[0]: row for row in finished}
    counts, first = collections.Counter(), collections.Counter()
    for (sitting, trial), answer in saved.items():
        if sitting in done:
            counts[trial] += 1
            first[trial] += answer["shown"][0] == pairs[trial][0]
    trials = {trial.id: trial for form in design.forms for trial in form.trials}
    assert counts == dict.fromkeys(trials, 5)
    # Three places of five show the design's order.
    assert first == {trial: 3 if known.truth_first else 2 for trial, known in trials.items()}

    secrets = [b"n01440764", b"photo_", b"coltran_model", b"wrong_colors", b"truth", b"catch", b'"sample"', b'"key"']
    program = re.compile(rb"<(script|style)>.*?</\1>", re.DOTALL)  # the page's own, the same for everybody
    for body in crowd.bodies:
        text = program.sub(b"", body)
        for word in (*secrets, kit.SECRET):
            assert word not in text, (word, text[:2000])
        assert b"rater-0" not in text
    assert any(body.startswith(b"\x89PNG") for body in crowd.bodies)

    assert study.main(["ingest", f"--study={folder}", str(path)]) == 0
    out = capsys.readouterr().out
    # 12 forms x 5 raters x (10 test + 1 catch + 2 practice trials)
    assert "780 ratings of 60 raters in 60 sittings; 600 test ratings count" in out
    table = ratings.read(folder / "private" / "ratings.csv")
    assert {row.excluded for row in table} == {""}
    per_pair = collections.Counter((row.model, row.key, row.sample) for row in table if row.counts)
    assert set(per_pair.values()) == {5}
    assert len(per_pair) == 120
    assert sum(row.truth_first for row in table if row.counts) in range(300 - 3, 300 + 4)
    assert os.stat(path).st_mode & 0o777 == 0o600
    with pytest.raises(sqlite3.OperationalError), sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.execute("DELETE FROM answers")
