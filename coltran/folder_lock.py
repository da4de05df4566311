"""Locks a folder, so that one run at a time writes it. The lock names its holder and has a heartbeat.

    _lock.json    host, process, when the process started, and the last heartbeat

A lock is stale if its process is gone (seen from the same host), or if its last heartbeat is older than
`STALE_SECONDS`. So a dead holder cannot keep it. Shards depend only on their inputs and appear whole, so two runs write
the same bytes even if both believe that they hold the lock. The lock only prevents that they do the work twice or
remove each other's temporary files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from coltran import storage
from coltran.errors import UserError

LOCK = "_lock.json"
BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Holder:
    """The holder of a lock.

    Attributes:
      host, process: machine name and process id.
      started: when the process started, in the system's count, which distinguishes it from a later process with the
        same id; empty if the system does not say.
      token: a random text, one for each run.
      beat: Unix time of the last heartbeat, in seconds.
    """

    host: str
    process: int
    started: str
    token: str
    beat: float

    def is_stale(self) -> bool:
        """Tells whether the holder is gone. Then another run may take over."""
        if self.host == socket.gethostname() and self.started != _process_start(self.process):
            return True
        return time.time() - self.beat > STALE_SECONDS


@contextlib.contextmanager
def held(path: str, *, patient: bool = False) -> Iterator[None]:
    """Holds the lock file `path`, local or gs://, while the block runs. It takes over a stale lock.

    Args:
      path: the lock file.
      patient: whether to wait until the lock of another machine is surely held or stale, which takes a minute. A run
        that is started anew at once on another machine, after its first one was taken away, needs that.

    Raises:
      UserError: another run holds it, or took it over because this run had no heartbeat (a suspended laptop).
    """
    process = os.getpid()
    mine = Holder(
        host=socket.gethostname(),
        process=process,
        started=_process_start(process),
        token=secrets.token_hex(8),
        beat=time.time(),
    )
    if patient:
        _wait_for_a_beat(path)
    _acquire(path, mine)
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(path, mine, stop), daemon=True)
    thread.start()
    try:
        yield
        other = _read(path)
        if other is not None and other.token != mine.token:
            raise UserError(f"{path}: {_name(other)} took over while this run did not answer; let that one finish")
    finally:
        stop.set()
        thread.join()
        holder = _read(path)
        if holder is not None and holder.token == mine.token:
            storage.remove(path)


def _acquire(path: str, mine: Holder) -> None:
    if storage.create(path, _to_bytes(mine)):
        return
    other = _read(path)
    if other is not None and not other.is_stale():
        raise UserError(
            f"{path}: {_name(other)} is writing this folder, last heard of {time.time() - other.beat:.0f} s ago; wait "
            f"for it, or stop it (its lock is free at once, or after {STALE_SECONDS:.0f} s if it ran elsewhere)"
        )
    storage.write_bytes(path, _to_bytes(mine))
    holder = _read(path)
    if holder is None or holder.token != mine.token:
        raise UserError(f"{path}: another run has just started to write this folder; wait for it")


def _wait_for_a_beat(path: str) -> None:
    """Waits while a lock of another machine neither beats nor is stale."""
    first = _read(path)
    if first is None or first.host == socket.gethostname():
        return
    while (now := _read(path)) is not None and now == first and not now.is_stale():
        time.sleep(1)


def _beat(path: str, mine: Holder, stop: threading.Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        # The work itself reports a full disk or a slow network. The next heartbeat may succeed.
        with contextlib.suppress(Exception):
            holder = _read(path)
            if holder is not None and holder.token == mine.token:
                storage.write_bytes(path, _to_bytes(dataclasses.replace(mine, beat=time.time())))


def _read(path: str) -> Holder | None:
    """Reads the lock's holder. Returns None if there is no lock, or if a crash cut the file."""
    try:
        return Holder(**json.loads(storage.read_bytes(path)))
    except (UserError, ValueError, TypeError):
        return None


def _to_bytes(holder: Holder) -> bytes:
    return json.dumps(dataclasses.asdict(holder)).encode()


def _name(holder: Holder) -> str:
    return f"process {holder.process} on {holder.host}"


def _process_start(process: int) -> str:
    """Returns when a local process started, in the system's ticks, `gone` for no such process, or empty if unknown."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return "gone"
    except OSError:
        pass
    return ""
