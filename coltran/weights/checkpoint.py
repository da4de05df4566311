"""Reads and writes checkpoint folders: weights, their moving average, the optimizer's state, and a description.

    <folder>/step_00000200/arrays/...     orbax: {"weights": ..., "ema": ..., "optimizer": ...}, flat names -> arrays
    <folder>/step_00000200/checkpoint.json  config, step, schema version, sha256 of each group of arrays; written last

If a folder `step_*` has no checkpoint.json, its program died while it wrote the folder. Nobody ever reads it, and the
next save of that step replaces it. `load` takes a step folder or its parent, local or gs://. In the parent, it loads
the newest finished step (coltran/weights/steps.py).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.networks import config as configs
from coltran.networks.config import NetworkConfig
from coltran.weights import arrays as saved_arrays, built_in, packed, parameters, steps
from coltran.weights.arrays import DamagedError, first_line
from coltran.weights.kinds import WEIGHTS
from coltran.weights.steps import METADATA, finished_steps as finished_steps, step_folder as step_folder

SCHEMA_VERSION = 1
_FIELDS = ("schema_version", "step", "config", "ema_sha256")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
      stage: colorizer, color_upsampler or spatial_upsampler.
      config: the network's config.
      step: training steps done.
      ema, weights: {parameter name: float32 array}; the moving average and the raw weights.
      optimizer: {name: array}, empty for imported weights, which have no optimizer state.
      ema_sha256, raw_sha256: checksums of `ema` and `weights`, verified.
      training: JSON dict of how it was trained, empty if unknown.
      validation: {metric: bits} of the moving average, empty if it was not measured at this step.
      path: the step folder it came from.
    """

    stage: str
    config: NetworkConfig
    step: int
    ema: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    ema_sha256: str
    raw_sha256: str
    training: dict[str, Any]
    validation: dict[str, float]
    path: str

    def checksum(self, weights: str = "ema") -> str:
        """Returns the sha256 of the `ema` or the `raw` weights."""
        return self.ema_sha256 if weights == "ema" else self.raw_sha256


def save(
    folder: str | Path,
    *,
    stage: str,
    config: NetworkConfig,
    step: int,
    ema: Mapping[str, Any],
    weights: Mapping[str, Any],
    optimizer: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    validation: Mapping[str, float] | None = None,
    keep: int | None = None,
) -> str:
    """Writes the checkpoint of `step` below `folder` and returns its step folder.

    A reader sees it only when it is complete. With `keep`, it removes older finished checkpoints beyond that number,
    except the best one. Only one process may call it.

    Raises:
      UserError: the parameters do not fit `config`, or the folder cannot be written.
    """
    shapes = parameters.shapes(config)
    for group in (ema, weights):
        parameters.check_names(shapes, {name: tuple(array.shape) for name, array in group.items()})
    target = step_folder(folder, step)
    arrays = {
        name: {key: np.asarray(array) for key, array in group.items()}
        for name, group in (("ema", ema), ("weights", weights), ("optimizer", optimizer or {}))
    }
    metadata = {
        "schema_version": SCHEMA_VERSION,
        "step": step,
        "config": configs.to_json(stage, config),
        "ema_sha256": parameters.checksum(arrays["ema"]),
        "raw_sha256": parameters.checksum(arrays["weights"]),
        "optimizer_sha256": parameters.checksum(arrays["optimizer"]),
        "training": dict(training or {}),
        "validation": dict(validation or {}),
    }
    try:
        steps.remove(target)
        saved_arrays.write(target, arrays)
        storage.write_bytes(storage.join(target, METADATA), json.dumps(metadata, indent=1).encode() + b"\n")
    except (OSError, ValueError) as error:  # tensorstore reports a full disk as a ValueError
        steps.remove(target)  # half a checkpoint helps nobody, and wastes space on a full disk
        raise UserError(f"{target}: the checkpoint cannot be written: {first_line(error)}") from error
    if keep is not None:
        steps.remove_old(folder, keep)
    return target


def pack(checkpoint: Checkpoint, folder: Path, *, training: Mapping[str, Any]) -> None:
    """Packs the moving average (coltran/weights/packed.py) in a new `folder`. `training` says where it comes from."""
    folder.mkdir(parents=True)
    checksum = parameters.checksum(packed.write(folder, checkpoint.ema))
    metadata = read_metadata(checkpoint.path) | {"ema_sha256": checksum, "raw_sha256": checksum}
    metadata |= {"optimizer_sha256": parameters.checksum({}), "training": dict(training)}
    storage.write_bytes(str(folder / METADATA), json.dumps(metadata, indent=1).encode() + b"\n")


def load(folder: str | Path, *, stage: str | None = None, config: NetworkConfig | None = None) -> Checkpoint:
    """Loads the newest finished checkpoint below `folder`, or `folder` itself if it is a checkpoint.

    Args:
      folder: a training work folder, its checkpoint folder, one step's folder, or the word `built_in`, which is the
        network of `stage` that ships (coltran/weights/built_in.py).
      stage: the stage it must belong to; None for any.
      config: the config it must have; None for any.

    Raises:
      UserError: there is no checkpoint, it is damaged or of another version, or it does not fit `stage` or `config`.
    """
    path, found_stage, found, metadata = describe(folder, stage=stage)
    difference = configs.first_difference(found, config) if config is not None else None
    if difference:
        raise UserError(f"{path} does not fit the config asked for: {difference}")
    arrays = saved_arrays.read(path)
    ema, weights = arrays.get("ema", {}), arrays.get("weights", {})
    shapes = parameters.shapes(found)
    for group in (ema, weights):
        try:
            parameters.check_names(shapes, {name: tuple(array.shape) for name, array in group.items()})
        except UserError as error:
            raise DamagedError(f"{path} does not fit its own config: {error}") from None
    optimizer = arrays.get("optimizer", {})
    sums = _checked_sums(path, metadata, ema, weights, optimizer)
    return Checkpoint(
        stage=found_stage,
        config=found,
        step=metadata["step"],
        ema=ema,
        weights=weights,
        optimizer=optimizer,
        ema_sha256=sums["ema_sha256"],
        raw_sha256=sums["raw_sha256"],
        training=metadata.get("training", {}),
        validation=metadata.get("validation", {}),
        path=path,
    )


def _checked_sums(path: str, metadata: Mapping[str, Any], *groups: dict[str, np.ndarray]) -> dict[str, str]:
    """Computes the checksums of moving average, weights and optimizer. Raises DamagedError if saved ones differ."""
    names = ("ema_sha256", "raw_sha256", "optimizer_sha256")
    sums = {name: parameters.checksum(group) for name, group in zip(names, groups, strict=True)}
    for name, found in sums.items():
        # Checkpoints of earlier versions do not have the checksums of all their arrays.
        if metadata.get(name, found) != found:
            what = "the optimizer's state is" if name == "optimizer_sha256" else "the weights are"
            raise DamagedError(f"{path}: {what} not what was saved (sha256 differs); use another one")
    return sums


def load_network(
    folder: str | Path, *, stage: str | None = None, weights: str = "ema", compute_dtype: str | None = None
) -> tuple[parameters.Network, Checkpoint]:
    """Loads a checkpoint and its network with the moving average (`ema`) or the `raw` weights.

    Everything that samples from a folder's network gets it here. With `compute_dtype`, activations have another dtype
    than in training. Raises UserError as `load` does.
    """
    configs.refuse_unknown("kind of weights", weights, WEIGHTS)
    checkpoint = load(folder, stage=stage)
    chosen = checkpoint.ema if weights == "ema" else checkpoint.weights
    config = checkpoint.config
    if compute_dtype is not None:
        config = configs.replace_fields(config, {"compute_dtype": compute_dtype})
    return parameters.restore(config, chosen), checkpoint


def describe(folder: str | Path, *, stage: str | None = None) -> tuple[str, str, NetworkConfig, dict[str, Any]]:
    """Finds the checkpoint that `load` takes, without reading its arrays.

    Returns:
      Its step folder, stage and config, and the content of its checkpoint.json.

    Raises:
      UserError: there is no checkpoint, or it belongs to another stage.
    """
    path = steps.locate(built_in.resolved(folder, stage))
    metadata = read_metadata(path)
    found, config = configs.from_json(metadata["config"])
    if stage is not None and found != stage:
        raise UserError(f"{path} is a checkpoint of the {found}, asked for the {stage}")
    return path, found, config, metadata


def recorded_checksum(folder: str | Path, weights: str) -> str:
    """Finds the sha256 of the `ema` or `raw` weights in the checkpoint that `load` takes.

    checkpoint.json holds it. Old checkpoints lack it, so their arrays are read.

    Raises UserError as `load` does.
    """
    path, _, _, metadata = describe(folder)
    return metadata.get(f"{weights}_sha256") or load(path).checksum(weights)


def read_metadata(path: str) -> dict[str, Any]:
    """Reads the checkpoint.json of a step folder. Raises UserError if it is damaged or of another version."""
    file = storage.join(path, METADATA)
    try:
        metadata = json.loads(storage.read_bytes(file))
    except UserError as error:
        raise DamagedError(str(error)) from None
    except ValueError as error:
        raise DamagedError(f"{file} cannot be read: {error}") from None
    missing = [name for name in _FIELDS if name not in metadata] if isinstance(metadata, dict) else _FIELDS
    if missing:
        raise DamagedError(f"{file} lacks {', '.join(missing)}: it is no checkpoint of this project")
    version = metadata["schema_version"]
    if version != SCHEMA_VERSION:
        raise UserError(f"{file} has schema version {version}, this program reads {SCHEMA_VERSION}")
    return metadata
