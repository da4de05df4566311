"""Logs a run while it trains: metrics.jsonl, the same numbers for TensorBoard, and pictures.

<workdir>/metrics.jsonl        one JSON object per line: step, and training or validation numbers
<workdir>/tensorboard/         the same scalars, and the pictures
<workdir>/samples/             the pictures, samples_<step>.png
"""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from coltran import storage
from coltran.training.appended_file import AppendedFile
from coltran.training.event_file import EventFile

METRICS = "metrics.jsonl"


class TrainingLog:
    """The log of one work folder. It removes lines of steps after `step`, because those steps will run again.

    At step 0 it begins anew.
    """

    def __init__(self, workdir: str, step: int):
        self._workdir = workdir
        path = storage.join(workdir, METRICS)
        if storage.exists(path):
            kept = [line for line in read_metrics(path) if 0 < step >= line["step"]]
            storage.write_bytes(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._metrics = AppendedFile(path)
        self._events = EventFile(storage.join(workdir, "tensorboard"))

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Logs the numbers of one step. It leaves out infinity and NaN, because JSON does not have them."""
        finite = {name: value for name, value in scalars.items() if math.isfinite(value)}
        self._events.write(step, finite)
        self._metrics.write(json.dumps({"step": step, **finite}).encode() + b"\n")

    def picture(self, step: int, png: bytes) -> None:
        """Logs the picture with the samples of one step."""
        storage.write_bytes(storage.join(self._workdir, "samples", f"samples_{step:08d}.png"), png)
        self._events.write_picture(step, "samples", png)

    def flush(self) -> None:
        """Makes everything visible to readers, on gs:// too. A run that goes on from a checkpoint needs its lines."""
        self._events.flush()
        self._metrics.flush()

    def close(self) -> None:
        """Closes the files. Nothing can be logged afterwards."""
        self._events.close()
        self._metrics.close()


def read_metrics(path: str) -> Iterator[dict[str, Any]]:
    """Reads the lines of a metrics.jsonl, local or gs://."""
    for text in storage.read_bytes(path).decode(errors="replace").splitlines():
        with contextlib.suppress(ValueError):  # the last line of a killed run may be incomplete
            yield json.loads(text)
