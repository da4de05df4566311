"""Logs a run while it trains: metrics.jsonl, the same numbers for TensorBoard, and pictures.

<workdir>/metrics.jsonl        one JSON object per line: step, and training or validation numbers
<workdir>/tensorboard/         the same scalars, and the pictures
<workdir>/samples/             the pictures, samples_<step>.png
"""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coltran import storage
from coltran.training.event_file import EventFile

METRICS = "metrics.jsonl"


class TrainingLog:
    """The log of one work folder. It removes lines of steps after `step`, because those steps will run again."""

    def __init__(self, workdir: Path, step: int):
        self._workdir = workdir
        path = workdir / METRICS
        if path.exists():
            kept = [line for line in read_metrics(path) if line["step"] <= step]
            storage.write_bytes(str(path), "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._events = EventFile(str(workdir / "tensorboard"))

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Logs the numbers of one step. It leaves out infinity and NaN, because JSON does not have them."""
        finite = {name: value for name, value in scalars.items() if math.isfinite(value)}
        self._events.write(step, finite)
        with open(self._workdir / METRICS, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **finite}) + "\n")

    def picture(self, step: int, png: bytes) -> None:
        """Logs the picture with the samples of one step."""
        storage.write_bytes(str(self._workdir / "samples" / f"samples_{step:08d}.png"), png)
        self._events.write_picture(step, "samples", png)

    def close(self) -> None:
        self._events.close()


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Reads the lines of a metrics.jsonl."""
    for text in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # the last line of a killed run may be incomplete
            yield json.loads(text)
