"""Reads and writes the arrays of a step folder with orbax. On gs:// they go through a local folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coltran import local_copies, storage
from coltran.errors import UserError
from coltran.weights import packed

ARRAYS = "arrays"


class DamagedError(UserError):
    """A checkpoint was finished once but cannot be read now. An older one may still be good."""


def write(step: str, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Writes {group: {name: array}}, float32 arrays of weights and any of the optimizer, into a new step folder."""
    with local_copies.uploaded(storage.join(step, ARRAYS)) as local, _checkpointer() as checkpointer:
        Path(local).parent.mkdir(parents=True, exist_ok=True)
        checkpointer.save(Path(local), arrays)


def read(step: str) -> dict[str, dict[str, np.ndarray]]:
    """Reads {group: {name: array}} of a step folder, weights as float32. Raises DamagedError if that fails."""
    with local_copies.temporary(step) as folder:
        local = Path(folder).absolute()
        try:
            if packed.is_packed(local):
                weights = packed.read(local)
                return {"ema": weights, "weights": weights, "optimizer": {}}
            with _checkpointer() as checkpointer:
                restored = checkpointer.restore(local / ARRAYS)
        except packed.UNREADABLE as error:
            reason = first_line(error).replace(str(local), step)
            raise DamagedError(f"{step}: its arrays cannot be read ({reason}); use another checkpoint") from None
        return {
            group: {name: np.asarray(array) for name, array in arrays.items()} for group, arrays in restored.items()
        }


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, without a full stop."""
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


def _checkpointer() -> Any:
    import jax
    import orbax.checkpoint as ocp

    # The calling process works alone. It has the whole arrays in its memory, and no other process waits for it.
    this = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this})
    return ocp.Checkpointer(ocp.StandardCheckpointHandler(multiprocessing_options=alone), multiprocessing_options=alone)
