"""What a run tells while it trains: metrics.jsonl, the same for TensorBoard, and pictures.

<workdir>/metrics.jsonl        one JSON object a line: step, and training or validation numbers
<workdir>/tensorboard/         the same scalars, and the pictures
<workdir>/samples/             the pictures, samples_<step>.png
"""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from coltran import storage
from coltran.training.event_file import EventFile

METRICS = "metrics.jsonl"


class TrainingLog:
    """The log of one work folder. Steps after `step` are forgotten: they are about to be run, and logged, again."""

    def __init__(self, workdir: Path, step: int):
        self._workdir = workdir
        path = workdir / METRICS
        if path.exists():
            kept = [line for line in read_metrics(path) if line["step"] <= step]
            storage.write_bytes(str(path), "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._events = EventFile(str(workdir / "tensorboard"))

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Numbers of one step; those that are not finite are left out, since JSON has none such."""
        finite = {name: value for name, value in scalars.items() if math.isfinite(value)}
        self._events.write(step, finite)
        with open(self._workdir / METRICS, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **finite}) + "\n")

    def picture(self, step: int, png: bytes) -> None:
        """The samples of one step."""
        storage.write_bytes(str(self._workdir / "samples" / f"samples_{step:08d}.png"), png)
        self._events.write_picture(step, "samples", png)

    def close(self) -> None:
        self._events.close()


class Meter:
    """Rates between two log lines."""

    def __init__(self, batch_size: int, flops_per_example: float, flops_per_second: float):
        """`flops_per_second`: what all devices together could do; 0 where nobody knows."""
        self._batch_size, self._flops, self._limit = batch_size, flops_per_example, flops_per_second
        self._running: jax.Array | None = None
        self._restart()

    def batches(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The same batches; counts the time in which the loop waited for one while no step was running."""
        while True:
            started = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            if self._running is not None and self._running.is_ready():
                self._waited += time.monotonic() - started
            yield batch

    def dispatched(self, result: jax.Array) -> None:
        """A step was begun, of which `result` is a part; returns when the one before has ended, so two are queued."""
        if self._running is not None:
            self._running.block_until_ready()
        self._running = result
        self._steps += 1

    def rates(self) -> dict[str, float]:
        """Images a second, share of time without input, and FLOP utilization since the last call or `pause`."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        images = self._steps * self._batch_size / seconds
        found = {"images_per_second": images, "input_wait": self._waited / seconds}
        if self._limit:
            found["flop_utilization"] = images * self._flops / self._limit
        self._restart()
        return found

    def pause(self) -> None:
        """What came since the last step (evaluation, say) is no part of the rates."""
        self._restart()

    def _restart(self) -> None:
        self._started, self._waited, self._steps = time.monotonic(), 0.0, 0


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics.jsonl."""
    for text in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # the last line of a killed run may be cut
            yield json.loads(text)
