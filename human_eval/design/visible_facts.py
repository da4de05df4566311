"""Measures all but the pixels that a public image file shows: its parts, its compressed lengths, its place on disk."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import email.utils
import functools
import gzip
import hashlib
import http.client
import http.server
import importlib
import os
import pathlib
import struct
import subprocess
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from human_eval.folder.opaque_files import SIGNATURE

Facts = dict[str, float]
_STAT_FILES = 200


def of_files(folder: pathlib.Path, names: Sequence[str]) -> dict[str, Facts]:
    """Measures files of a local folder: their bytes, their entries on the disk, and what a web server says of them.

    Args:
      folder: the folder of all images.
      names: the files to measure.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:  # Compressors let other threads run.
        measured = threads.map(lambda name: of_bytes((folder / name).read_bytes()), names)
        found: dict[str, Facts] = dict(zip(names, measured, strict=True))
    for more in (_on_disk(folder, names), _copies(folder, names), _from_a_server(folder, names)):
        for name, facts in more.items():
            found[name] |= facts
    return found


def of_bytes(data: bytes) -> Facts:
    """Measures the structure of a file and its length after compression."""
    facts: Facts = {
        "length": len(data),
        "length after zlib": len(zlib.compress(data, 9)),
        "length after gzip": len(gzip.compress(data, 6, mtime=0)),
    }
    with contextlib.suppress(ImportError):  # A study team may do without it. Its facts are much like gzip's.
        brotli = importlib.import_module("brotli")
        facts["length after brotli"] = len(brotli.compress(data, quality=5))
    pixels = b""
    for place, (kind, content) in enumerate(chunks(data)):
        facts[f"bytes in {kind} chunks"] = facts.get(f"bytes in {kind} chunks", 0) + len(content)
        facts[f"number of {kind} chunks"] = facts.get(f"number of {kind} chunks", 0) + 1
        facts[f"place of {kind}"] = place
        if kind == "IHDR":
            facts["header"] = int.from_bytes(hashlib.sha256(content).digest()[:6])
        pixels += content if kind == "IDAT" else b""
    inflate = zlib.decompressobj()
    with contextlib.suppress(zlib.error):
        facts["inflated length"] = len(inflate.decompress(pixels))
        facts["bytes after the image data"] = len(inflate.unused_data)
    if pixels:
        facts["compression flags"] = int.from_bytes(pixels[:2])
    return facts


def chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields (kind, content) for each chunk of a PNG file. Bytes after the last whole chunk have the kind `rest`."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if place + 12 + length > len(data):
            break
        yield kind.decode("latin-1"), data[place + 8 : place + 8 + length]
        place += length + 12
    if place < len(data):
        yield "rest", data[place:]


def ranks(values: Mapping[str, object]) -> dict[str, float]:
    """Returns the rank of each file's value. Equal values have one rank."""
    order = {value: rank for rank, value in enumerate(sorted(set(values.values())))}  # type: ignore[type-var]
    return {name: float(order[value]) for name, value in values.items()}


def _on_disk(folder: pathlib.Path, names: Sequence[str]) -> dict[str, Facts]:
    stats = {name: (folder / name).stat() for name in names}
    columns: dict[str, Mapping[str, object]] = {
        "name": {name: name for name in names},
        "inode": {name: stat.st_ino for name, stat in stats.items()},
        "time of change": {name: stat.st_mtime_ns for name, stat in stats.items()},
        "mode": {name: stat.st_mode for name, stat in stats.items()},
        "blocks on disk": {name: stat.st_blocks for name, stat in stats.items()},
        "time of birth": _births(folder, names),
        "place in the folder": {entry: place for place, entry in enumerate(os.listdir(folder)) if entry in stats},
    }
    found: dict[str, Facts] = collections.defaultdict(dict)
    for fact, values in columns.items():
        for name, rank in ranks(values).items():
            found[name][fact] = rank
    return dict(found)


def _births(folder: pathlib.Path, names: Sequence[str]) -> dict[str, object]:
    """Returns the files' times of birth where GNU `stat` tells them. Python does not on Linux."""
    found: dict[str, object] = {}
    for start in range(0, len(names), _STAT_FILES):
        some = list(names[start : start + _STAT_FILES])
        try:
            told = subprocess.run(["stat", "-c", "%w", "--", *some], cwd=folder, capture_output=True, text=True)
        except OSError:
            return {}
        lines = told.stdout.splitlines()
        found |= dict(zip(some, lines, strict=True)) if len(lines) == len(some) else {}
    return found


def _copies(folder: pathlib.Path, names: Sequence[str]) -> dict[str, Facts]:
    """Counts the files with the same bytes. A photo that stands in several pairs must not be known by that."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()[-4096:]).digest() for name in names}
    times = collections.Counter(digests.values())
    return {name: {"files with the same bytes": times[digest]} for name, digest in digests.items()}


def _from_a_server(folder: pathlib.Path, names: Sequence[str]) -> dict[str, Facts]:
    """Measures the HTTP headers that a real web server sends for each file."""
    handler = functools.partial(_Quiet, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    except OSError:
        return {}  # No socket can be opened here. The entries on the disk say the same.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)  # type: ignore[arg-type]
    try:
        return {name: _headers(connection, name) for name in names}
    except OSError:
        return {}
    finally:
        connection.close()
        server.shutdown()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # All requests go over one connection.

    def log_message(self, *_: object) -> None:
        pass


def _headers(connection: http.client.HTTPConnection, name: str) -> Facts:
    connection.request("HEAD", "/" + name)
    response = connection.getresponse()
    response.read()
    return dict(_numbers(response.getheaders()))


def _numbers(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, float]]:
    """Yields a number for each header. The time of the response itself tells nothing."""
    for name, value in headers:
        if name == "Last-Modified":
            yield f"header {name}", email.utils.parsedate_to_datetime(value).timestamp()
        elif value.isdecimal():
            yield f"header {name}", float(value)
        elif name not in ("Date", "Server"):
            yield f"header {name}", int.from_bytes(hashlib.sha256(value.encode()).digest()[:6])
