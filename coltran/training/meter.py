"""Measures training rates, and how fast a device multiplies plain matrices, which is the limit for utilization."""

import time
from collections.abc import Iterator
from typing import Any

import jax

_SIDES = {"cpu": 1024}  # other devices use 8192, which is large enough to fill an accelerator
_TIMES = 5


def matmul_rate(dtype: str, side: int | None = None) -> float:
    """Measures FLOP/s with the fastest of five products of two square matrices of `dtype` on one device."""
    side = side or _SIDES.get(jax.default_backend(), 8192)
    with jax.default_device(jax.local_devices()[0]):
        # We use random numbers. On ones a processor needs less power, and so it multiplies them faster.
        left = jax.random.normal(jax.random.PRNGKey(0), (side, side)).astype(dtype)
        product = jax.jit(lambda a, b: a @ b)
        product(left, left).block_until_ready()
        seconds = []
        for _ in range(_TIMES):
            started = time.perf_counter()
            product(left, left).block_until_ready()
            seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


class Meter:
    """Measures rates between two log lines."""

    def __init__(self, batch_size: int, flops_per_example: float, flops_per_second: float):
        """Starts to measure. `flops_per_second` is the limit of all devices together, or 0 if it is not known."""
        self._batch_size, self._flops, self._limit = batch_size, flops_per_example, flops_per_second
        self._running: jax.Array | None = None
        self._restart()

    def batches(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yields the same batches, and counts the time in which the loop waited for one while no step was running."""
        while True:
            started = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            if self._running is not None and self._running.is_ready():  # type: ignore[attr-defined]  # jax.Array's stub leaves it out
                self._waited += time.monotonic() - started
            yield batch

    def dispatched(self, result: jax.Array) -> None:
        """Notes that a step began, and waits until the step before it has ended, so at most two are queued.

        `result` is a scalar that the new step computes.
        """
        if self._running is not None:
            self._running.block_until_ready()
        self._running = result
        self._steps += 1

    def rates(self) -> dict[str, float]:
        """Returns images per second, share of time without input and FLOP utilization since last called or paused."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        images = self._steps * self._batch_size / seconds
        found = {"images_per_second": images, "input_wait": self._waited / seconds}
        if self._limit:
            found["flop_utilization"] = images * self._flops / self._limit
        self._restart()
        return found

    def pause(self) -> None:
        """Leaves what came since the last step, such as an evaluation, out of the rates."""
        self._restart()

    def _restart(self) -> None:
        self._started, self._waited, self._steps = time.monotonic(), 0.0, 0
