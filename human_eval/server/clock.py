"""Makes a clock that never goes back, so that a wrong system clock neither holds places for months nor frees them."""

from __future__ import annotations

import time
from collections.abc import Callable


def steady(now: Callable[[], float], newest: float) -> Callable[[], float]:
    """Returns a clock in seconds that goes on from the system's time, or from a later time that was noted before.

    Args:
      now: the system's clock. A test's clock is taken as it is, from its time now on.
      newest: the latest time that an earlier run has noted.
    """
    ticks = time.monotonic if now is time.time else now
    start, begun = max(now(), newest), ticks()
    return lambda: start + ticks() - begun
