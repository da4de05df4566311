"""Resumes from the newest good checkpoint of a work folder. It never silently starts from zero."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.networks.config import NetworkConfig, first_difference
from coltran.training import mesh, step as train_step
from coltran.training.checkpoint_writer import IsComparable, best_score
from coltran.training.options import TrainOptions
from coltran.weights import checkpoint, steps
from coltran.weights.arrays import DamagedError
from coltran.weights.maturity import FINGERPRINT

CHECKPOINTS = "checkpoints"  # the folder of checkpoints in a work folder
_NEW, _GO_ON, _REFUSED = range(3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """Where training starts.

    Attributes:
      state: the state as host arrays.
      best: the fewest validation bits so far, or infinity.
      resumed: whether a checkpoint holds the state.
    """

    state: train_step.TrainState
    best: float
    resumed: bool


def start(
    workdir: str,
    *,
    stage: str,
    config: NetworkConfig,
    options: TrainOptions,
    data_fingerprint: str,
    is_comparable: IsComparable,
) -> Start:
    """Finds the state from which to go on, or makes a new one.

    Only process 0 reads the work folder. The other processes get its arrays. `is_comparable` is that of `best_score`.

    Raises:
      UserError: the work folder was trained with other options, or none of its checkpoints is good.
    """
    state, refusal, best = None, None, math.inf
    if mesh.is_primary():
        try:
            storage.check_access(workdir)
            checkpoints = storage.join(workdir, CHECKPOINTS)
            saved = _last_good(checkpoints, stage)
            if saved is not None:
                _check_same(workdir, saved, config, options, data_fingerprint)
                state = train_step.restore_state(saved, options)
                best = best_score(checkpoints, is_comparable)
        except UserError as error:
            refusal = error
    outcome = _REFUSED if refusal else _NEW if state is None else _GO_ON
    outcome, best = (array.item() for array in mesh.broadcast((np.int32(outcome), np.float32(best))))
    if refusal is not None:
        raise refusal
    if outcome == _REFUSED:
        raise UserError("process 0 cannot go on from its --workdir; its own message says why")
    # If another process has the state, a new state shows the shapes of its arrays.
    state = jax.tree.map(np.asarray, state or train_step.initial_state(config, options))
    return Start(state=mesh.broadcast(state) if outcome == _GO_ON else state, best=best, resumed=outcome == _GO_ON)


def _last_good(folder: str, stage: str) -> checkpoint.Checkpoint | None:
    """Loads the newest good checkpoint. Renames damaged newer ones `damaged_step_*`, with a line on stderr."""
    damaged: list[tuple[int, UserError]] = []
    for step in reversed(steps.finished_steps(folder)):
        try:
            saved = checkpoint.load(steps.step_folder(folder, step), stage=stage)
        except DamagedError as error:
            damaged.append((step, error))
            continue
        for bad, why in damaged:
            print(f"going back to step {step}: {why}", file=sys.stderr)
            steps.set_aside(steps.step_folder(folder, bad))
        return saved
    if damaged:
        raise UserError(
            f"none of the {len(damaged)} checkpoints in {folder} can be read, the newest one because {damaged[0][1]}; "
            "put a good copy there, or give another --workdir to start anew"
        )
    if steps.any_begun(folder):
        print(f"{folder}: the first checkpoint was never finished; starting at step 0", file=sys.stderr)
    return None


def _check_same(
    workdir: str, saved: checkpoint.Checkpoint, config: NetworkConfig, options: TrainOptions, fingerprint: str
) -> None:
    difference = first_difference(saved.config, config) or options.difference(saved.training)
    if difference is None:
        difference = _data_difference(saved.training, fingerprint)
    if difference:
        raise UserError(
            f"{workdir} was trained with other options: {difference}. "
            "Give the old ones to go on, or another --workdir to start anew"
        )
    if saved.step > options.steps:
        raise UserError(f"{workdir} is at step {saved.step} already; --steps {options.steps} is behind")


def _data_difference(training: Mapping[str, Any], fingerprint: str) -> str | None:
    old = training.get(FINGERPRINT)
    return None if old == fingerprint else f"--data holds other records: fingerprint {old!r}, now {fingerprint!r}"
