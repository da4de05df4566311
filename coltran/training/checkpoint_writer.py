"""Writes checkpoints during training. A thread writes the copied state while the next steps are computed."""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from coltran.errors import UserError
from coltran.weights import checkpoint, steps


def score(validation: Mapping[str, float]) -> float:
    """Returns the number that compares checkpoints, which is the validation bits of the decoder or an upsampler.

    It is infinite if the bits were not measured.
    """
    return next(iter(validation.values()), math.inf)


IsComparable = Callable[[Mapping[str, Any]], bool]


def best_score(folder: str, is_comparable: IsComparable = lambda training: True) -> float:
    """Returns the score of the best checkpoint in `folder`, or infinity if there is no best one yet.

    It is infinite too if `is_comparable` says of the `training` part of its description that other images were
    measured.
    """
    best = steps.best_step(folder)
    try:
        metadata = {} if best is None else checkpoint.read_metadata(best)
    except UserError:
        return math.inf
    return score(metadata.get("validation", {})) if is_comparable(metadata.get("training", {})) else math.inf


class CheckpointWriter:
    """Writes one checkpoint at a time. It keeps the newest `keep` and the one with the fewest validation bits.

    The next call raises the error of a failed write. Use the writer in a `with`, whose end waits for the last
    checkpoint.
    """

    def __init__(
        self,
        folder: str,
        *,
        keep: int,
        before: Callable[[], None] = lambda: None,
        is_comparable: IsComparable = lambda training: True,
    ):
        """Makes a writer of `folder` that keeps `keep` checkpoints, calling `before` ahead of each.

        `is_comparable` is that of `best_score`.
        """
        self._folder, self._keep, self._before, self._is_comparable = folder, keep, before, is_comparable
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: Future | None = None

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._thread.shutdown()
        if kind is None:
            self.wait()

    def save(self, *, validation: Mapping[str, float], **parts: Any) -> None:
        """Begins to write a checkpoint.

        `parts` are the arguments of `checkpoint.save`. Nobody may change their arrays any more.
        """
        self.wait()
        self._before()
        self._pending = self._thread.submit(self._save, validation, parts)

    def wait(self) -> None:
        """Waits until the last checkpoint lies on the disk. Raises UserError if it could not be written."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _save(self, validation: Mapping[str, float], parts: Mapping[str, Any]) -> None:
        checkpoint.save(self._folder, validation=validation, **parts)
        if score(validation) < best_score(self._folder, self._is_comparable):
            steps.mark_best(self._folder, parts["step"])
        steps.remove_old(self._folder, self._keep)
