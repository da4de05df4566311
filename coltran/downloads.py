"""Fetches a published file over HTTP.

The transfer is resumed where it was interrupted, and the file is checked by its sha256. Offline it says so in seconds.
A file that is being fetched is named `NAME.part`, and gets its name only when all of it is right.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import urllib.parse

from coltran import cli
from coltran.errors import UserError

_CONNECT, _READ = 2.0, 60.0  # seconds
_PIECE = 1 << 20
_PART = ".part"


def fetch(url: str, path: str, *, sha256: str, size: int) -> None:
    """Fetches a file to a local path. An earlier attempt's part is gone on from.

    Args:
      url: address, http or https.
      path: local path; its folder is made.
      sha256: digest of the whole file, in hexadecimal digits.
      size: size of the whole file in bytes.

    Raises:
      UserError: the address cannot be reached, the connection broke, or other bytes came. The message has the way to
        fetch the file by hand.
    """
    by_hand = f"or download {url} ({size:,} bytes, sha256 {sha256}) by hand to {path}"
    part = path + _PART
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        digest = hashlib.sha256()
        with open(part, "ab+") as file:
            file.seek(0)
            while piece := file.read(_PIECE):
                digest.update(piece)
            if file.tell() < size:
                digest = _receive(url, file, digest, size, by_hand)
    except OSError as error:
        raise UserError(f"{part}: cannot be written: {error.strerror}; make room, {by_hand}") from error
    if digest.hexdigest() != sha256:
        got = os.path.getsize(part)
        os.remove(part)
        raise UserError(
            f"{url}: gave another file ({got:,} bytes, sha256 {digest.hexdigest()}), which is removed; run again, "
            f"{by_hand}"
        )
    os.replace(part, path)


def _receive(url: str, file, digest, size: int, by_hand: str):  # type: ignore[no-untyped-def]
    """Appends what is missing to `file`. Returns the digest of the whole file."""
    import requests

    _look_up(url, by_hand)
    done = file.tell()
    try:
        headers = {"Range": f"bytes={done}-"} if done else {}
        with requests.get(url, headers=headers, stream=True, timeout=(_CONNECT, _READ)) as answer:
            answer.raise_for_status()
            if answer.status_code != 206:  # the server sends all of it
                file.truncate(0)
                digest, done = hashlib.sha256(), 0
            with cli.progress_bar(size, "fetching", "B", initial=done) as bar:
                for piece in answer.iter_content(_PIECE):
                    file.write(piece)
                    digest.update(piece)
                    bar.update(len(piece))
        file.flush()
    except requests.RequestException as error:
        file.flush()
        raise UserError(
            f"{url}: {_reason(error)} after {file.tell():,} of {size:,} bytes; run again to go on from there, {by_hand}"
        ) from error
    return digest


def _look_up(url: str, by_hand: str) -> None:
    """Raises a UserError within seconds if the host's name is not known, as without a network."""
    import requests

    if requests.utils.get_environ_proxies(url):
        return  # the proxy looks names up
    parts = urllib.parse.urlsplit(url)
    found: list[object] = []

    def look() -> None:
        try:
            found.append(socket.getaddrinfo(parts.hostname, parts.port or 443))
        except OSError:
            return

    thread = threading.Thread(target=look, daemon=True)  # a resolver without a network may take a minute
    thread.start()
    thread.join(_CONNECT)
    if not found:
        raise UserError(f"{parts.hostname} cannot be reached: is there a network? Go online and run again, {by_hand}")


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, (requests.ConnectTimeout, requests.ConnectionError)) and "Read" not in str(error):
        return "no connection"
    return "the connection broke"
