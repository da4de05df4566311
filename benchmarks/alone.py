"""One program at a time on a device: others compile meanwhile, but none is timed beside another."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

LOCK = "COLTRAN_BENCHMARK_LOCK"  # names the file that is locked; unset, nobody waits


def is_shared() -> bool:
    """Whether other programs of this benchmark may run beside this one."""
    return bool(os.environ.get(LOCK))


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Waits until no other program of this benchmark is being timed."""
    if not is_shared():
        yield
        return
    with open(os.environ[LOCK], "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
