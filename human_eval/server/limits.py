"""Limits how often somebody may ask, with a token bucket in memory for each address or session.

A library would bring three packages and a clock that tests cannot set.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

_MANY = 10_000


class Limit:
    """Limits each name to a number of requests per minute. A pause saves up at most one minute's worth."""

    def __init__(self, per_minute: int, now: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._now = now
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # Each bucket has the requests left, and the time of that.

    def take(self, name: str) -> int:
        """Returns 0 if this request may go on, else the number of seconds to wait."""
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
        """Drops full buckets, which are the same as no bucket. If too many buckets remain, it drops all of them."""
        self._buckets = {name: (left, at) for name, (left, at) in self._buckets.items() if now - at < 60}
        if len(self._buckets) >= _MANY:
            self._buckets.clear()
