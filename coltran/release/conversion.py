"""Turns a checkpoint of the public release into a checkpoint folder of this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.release import config as release_config, names as release_names, variables as release_variables
from coltran.release.variables import ReleaseVariables
from coltran.weights import checkpoint, parameters
from coltran.weights.kinds import WEIGHTS

if TYPE_CHECKING:
    from coltran.networks.config import NetworkConfig

AVERAGES = WEIGHTS[0]
_ORIGIN = "imported_from"


def convert(
    variables: ReleaseVariables, weights: str
) -> tuple[str, NetworkConfig, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Turns a release's variables into parameters of this project.

    Args:
      variables: the variables of a public checkpoint.
      weights: `ema` takes the moving averages, and the raw weights beside them; `raw` takes the raw ones for both, so
        that everything that samples from the checkpoint uses them.

    Returns:
      The stage, its config, and the averaged and the raw parameters, each as {name: float32 array}.

    Raises:
      UserError: a variable is missing, left over or of another shape, or config.yaml contradicts the shapes.
    """
    chosen = variables.raw if weights == "raw" else _averaged(variables)
    stage, config = release_config.infer({name: array.shape for name, array in chosen.items()})
    if variables.config_text is not None:
        folder = variables.path.rpartition("/")[0]
        release_config.check_yaml(stage, config, variables.config_text, f"{folder}/config.yaml")
    ema = release_names.from_release(stage, config, chosen)
    return stage, config, ema, release_names.from_release(stage, config, variables.raw)


def _averaged(variables: ReleaseVariables) -> dict[str, np.ndarray]:
    """Returns the moving averages and the fixed gamma and beta, which have no moving average."""
    fixed = {name: array for name, array in variables.raw.items() if release_names.is_fixed(name)}
    if not variables.averaged:
        raise UserError(f"{variables.path} has no averaged weights; --weights=raw takes the others")
    lonely = [name for name in variables.raw if name not in variables.averaged and name not in fixed]
    if lonely:
        name = lonely[0].removesuffix(":0")
        raise UserError(f"variable {name}/ExponentialMovingAverage:0 is missing, or {name}:0 is left over")
    return {**variables.averaged, **fixed}


def import_checkpoint(
    source: str, target: str, *, weights: str = AVERAGES, step: int | None = None, origin: str | None = None
) -> list[tuple[str, object]]:
    """Reads a public checkpoint and writes it as a checkpoint of this project.

    Args:
      source: folder or prefix of the public checkpoint, local or gs://.
      target: new checkpoint folder, local or gs://.
      weights: as in `convert`.
      step: takes model-STEP of a folder.
      origin: what the new checkpoint says of where it comes from; by default the source.

    Returns:
      (name, value) of what people want to know about it.

    Raises:
      UserError: the source cannot be read or does not fit, or the target holds another checkpoint.
    """
    storage.check_access(target)
    variables = release_variables.read(source, step)
    try:
        stage, config, ema, raw = convert(variables, weights)
    except UserError as error:
        raise UserError(f"{variables.path}: {error}") from None
    steps_done = variables.step or 0
    for old in checkpoint.finished_steps(target):
        metadata = checkpoint.read_metadata(checkpoint.step_folder(target, old))
        if old != steps_done or _ORIGIN not in metadata.get("training", {}):
            raise UserError(f"{target} holds a checkpoint of step {old} already: give a new folder")
    training = {_ORIGIN: origin or variables.path, "weights": weights}
    written = checkpoint.save(
        target, stage=stage, config=config, step=steps_done, ema=ema, weights=raw, training=training
    )
    return [
        ("network", f"{stage}, {parameters.describe(config)}"),
        ("variables", f"{len(variables.raw)}, each used once"),
        ("training step", f"{steps_done:,}" if variables.step is not None else "unknown (taken as 0)"),
        ("weights", "moving averages" if weights == AVERAGES else "raw"),
        ("sha256", parameters.checksum(ema)),
        ("checkpoint", written),
    ]
