"""Handles SIGTERM. A machine that will be taken away sends it first, and training saves before it ends."""

import contextlib
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import jax


class Preemption:
    """Notes SIGTERM while it is active. With several processes, all of them notice it before the same step."""

    def __init__(self) -> None:
        self._noted = False
        self._previous: Callable[[int, FrameType | None], Any] | int | None = None

    def __enter__(self) -> "Preemption":
        # With several processes, JAX's own handler tells the coordinator, so it must stay in place.
        if jax.process_count() == 1:
            with contextlib.suppress(ValueError):  # outside the main thread, nobody sends us signals
                self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def requested(self, step: int) -> bool:
        """Tells whether to save and end after `step`. Every process must ask after every step."""
        if jax.process_count() == 1:
            return self._noted
        from jax.experimental import multihost_utils

        return multihost_utils.reached_preemption_sync_point(step)

    def _note(self, *_: object) -> None:
        self._noted = True
