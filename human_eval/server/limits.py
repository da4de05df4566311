"""How often somebody may ask: token buckets, one for each address or session, in memory.

A library would bring three packages and a clock that tests cannot turn.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

_MANY = 10_000


class Limit:
    """At most so many requests a minute of each name; a pause saves up at most one minute's worth."""

    def __init__(self, per_minute: int, now: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._now = now
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when that was so

    def take(self, name: str) -> int:
        """Returns 0 if this request may go on, else after how many seconds to come again."""
        with self._lock:
            now = self._now()
            left, since = self._buckets.get(name, (float(self._per_minute), now))
            left = min(self._per_minute, left + max(0.0, now - since) * self._per_minute / 60)
            if left < 1:
                self._buckets[name] = (left, now)
                return max(1, math.ceil((1 - left) * 60 / self._per_minute))
            if len(self._buckets) >= _MANY and name not in self._buckets:
                self._forget(now)
            self._buckets[name] = (left - 1, now)
            return 0

    def _forget(self, now: float) -> None:
        """Drops full buckets, which are as good as none; where that is too few, all of them."""
        self._buckets = {name: (left, at) for name, (left, at) in self._buckets.items() if now - at < 60}
        if len(self._buckets) >= _MANY:
            self._buckets.clear()
