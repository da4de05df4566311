"""Fetching a published file from a real server on loopback: resumed, checked, and quick to say that it cannot."""

import hashlib
import http.server
import os
import threading
import time

import numpy as np
import pytest

from coltran import downloads
from coltran.errors import UserError

DATA = np.random.default_rng(0).bytes(5_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves DATA. It breaks the connection after `breaks_after` bytes of an answer, and knows ranges if `ranges`."""

    data, breaks_after, ranges, status = DATA, 10**9, True, 200
    asked: list[str | None]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        wanted = self.headers["Range"]
        self.server.asked.append(wanted)
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        body = self.server.data[first:]
        self.send_response(self.server.status if not first else 206)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as made:
        made.asked = []
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def fetch(server, path, **changes):
    url = f"http://127.0.0.1:{server.server_address[1]}/weights.pth"
    downloads.fetch(url, str(path), **({"sha256": SHA256, "size": len(DATA)} | changes))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_gone_on_from(server, tmp_path, ranges):
    path = tmp_path / "cache" / "weights.pth"
    server.breaks_after = 3_000_000
    with pytest.raises(UserError, match=r"run again to go on from there, or download http://127"):
        fetch(server, path)
    part = os.path.getsize(f"{path}.part")
    assert not path.exists()
    assert 1_000_000 < part <= 3_000_000
    server.breaks_after, server.ranges = 10**9, ranges
    fetch(server, path)
    assert path.read_bytes() == DATA
    assert server.asked == [None, f"bytes={part}-"]
    assert os.listdir(path.parent) == ["weights.pth"]


def test_a_whole_part_needs_no_server(tmp_path, server):
    (tmp_path / "weights.pth.part").write_bytes(DATA)
    fetch(server, tmp_path / "weights.pth")
    assert server.asked == []
    assert (tmp_path / "weights.pth").read_bytes() == DATA


def test_another_file_is_refused_and_removed(server, tmp_path):
    server.data = DATA[:-1] + b"x"
    with pytest.raises(UserError, match=r"gave another file \(5,000,000 bytes, sha256 .*\), which is removed"):
        fetch(server, tmp_path / "weights.pth")
    assert os.listdir(tmp_path) == []


def test_a_server_that_has_no_such_file(server, tmp_path):
    server.status = 404
    with pytest.raises(UserError, match="the server answered 404"):
        fetch(server, tmp_path / "weights.pth")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/weights.pth", "https://nowhere.invalid/weights.pth"])
def test_offline_it_says_so_within_seconds(url, tmp_path):
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        downloads.fetch(url, str(tmp_path / "weights.pth"), sha256=SHA256, size=len(DATA))
    assert time.monotonic() - started < 5
    assert f"or download {url} (5,000,000 bytes, sha256 {SHA256}) by hand to {tmp_path / 'weights.pth'}" in str(
        caught.value
    )
