"""Reads the public release's checkpoints (TensorFlow object checkpoints) from a folder or gs://, and writes them.

    <folder>/checkpoint                          text: which prefix is the newest
    <folder>/model-1.index, model-1.data-*-of-*  the variables
    <folder>/config.yaml                         the program's options (may be missing)

A variable `a/b:0` has the key `a.Sb:0/.ATTRIBUTES/VARIABLE_VALUE`. Its moving average has the key of
`a/b/ExponentialMovingAverage:0`. TensorFlow reads and writes only local files here. gs:// goes through
`coltran.storage`.
"""

import contextlib
import dataclasses
import os
import re
import shutil
import tempfile
from collections.abc import Mapping

import numpy as np

from coltran import quiet_tensorflow, storage
from coltran.errors import UserError

STATE_FILE = "checkpoint"
CONFIG_FILE = "config.yaml"
STEP_KEY, COUNTER_KEY = "optimizer/iter", "save_counter"
_AVERAGE = "/ExponentialMovingAverage:0"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_STATE = re.compile(r'^model_checkpoint_path:\s*"(.+)"\s*$', re.MULTILINE)
_FILE = re.compile(r"^(?P<stem>.+?)(?:\.index|\.data-(?P<part>\d{5})-of-(?P<parts>\d{5}))$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReleaseVariables:
    """The network's variables in a public checkpoint, {release name: array}.

    Attributes:
      raw: the weights themselves, with the fixed gamma and beta.
      averaged: their moving averages, under the names of `raw`; empty if the checkpoint has none.
      step: training steps done; None if the checkpoint does not say.
      config_text: the content of config.yaml, or None without such a file.
      path: where it was read from, for messages.
    """

    raw: dict[str, np.ndarray]
    averaged: dict[str, np.ndarray]
    step: int | None
    config_text: str | None
    path: str


def read(source: str, step: int | None = None) -> ReleaseVariables:
    """Reads a checkpoint folder or prefix (`folder/model-1`), local or gs://.

    Args:
      source: a folder or prefix; in a folder, the file `checkpoint` names the checkpoint, else the highest number wins.
      step: takes model-STEP of a folder instead.

    Raises:
      UserError: nothing is there, files are missing, or they are damaged.
    """
    folder, stem, names = locate(source.rstrip("/"), step)
    path = storage.join(folder, stem)
    with contextlib.ExitStack() as stack:
        local = folder
        if storage.is_gcs(folder):
            local = stack.enter_context(tempfile.TemporaryDirectory())
            for name in names:
                with storage.open_read(storage.join(folder, name)) as there, open(f"{local}/{name}", "wb") as here:
                    shutil.copyfileobj(there, here)
        tensors = _read_tensors(os.path.join(local, stem), path)
    config_text = None
    if storage.exists(storage.join(folder, CONFIG_FILE)):
        config_text = storage.read_bytes(storage.join(folder, CONFIG_FILE)).decode(errors="replace")
    iterations = tensors.pop(STEP_KEY, None)
    averaged = {name.removesuffix(_AVERAGE) + ":0": a for name, a in tensors.items() if name.endswith(_AVERAGE)}
    return ReleaseVariables(
        raw={name: array for name, array in tensors.items() if not name.endswith(_AVERAGE)},
        averaged=averaged,
        step=None if iterations is None else int(iterations),
        config_text=config_text,
        path=path,
    )


def write(
    folder: str,
    *,
    raw: Mapping[str, np.ndarray],
    averaged: Mapping[str, np.ndarray],
    step: int,
    learning_rate: float,
    config_text: str,
) -> str:
    """Writes a checkpoint that the release's own program reads: model-1, its state file and config.yaml.

    It holds everything that the release's checkpoints hold, except the optimizer's mean squares.

    Args:
      folder: a new folder, local or gs://.
      raw: {release name: float32 array} of all weights, including the fixed gamma and beta.
      averaged: the moving averages, under the same names.
      step: training steps done.
      learning_rate: the optimizer's learning rate.
      config_text: the content of config.yaml.

    Returns:
      The checkpoint's prefix, `folder`/model-1.

    Raises:
      UserError: `folder` holds a checkpoint already, or cannot be written.
    """
    if storage.exists(storage.join(folder, STATE_FILE)):
        raise UserError(f"{folder} holds a checkpoint already: give a new folder")
    tf = quiet_tensorflow.import_tensorflow()
    optimizer = tf.Module()
    optimizer.iter = tf.Variable(step, dtype=tf.int64)
    for name, value in (("learning_rate", learning_rate), ("rho", 0.9), ("momentum", 0.0), ("decay", 0.0)):
        setattr(optimizer, name, tf.Variable(value, dtype=tf.float32))
    items = {name: tf.Variable(array, name=name.removesuffix(":0")) for name, array in raw.items()}
    for name, array in averaged.items():
        average = name.removesuffix(":0") + _AVERAGE
        items[average] = tf.Variable(array, name=average.removesuffix(":0"))
    with tempfile.TemporaryDirectory() as local:
        stem = os.path.basename(tf.train.Checkpoint(optimizer=optimizer, **items).save(os.path.join(local, "model")))
        with open(os.path.join(local, CONFIG_FILE), "w", encoding="utf-8") as file:
            file.write(config_text)
        # We write the state file last, so a folder that has it is complete.
        try:
            for name in sorted(os.listdir(local), key=lambda name: (name == STATE_FILE, name)):
                with (
                    open(os.path.join(local, name), "rb") as here,
                    storage.open_write(storage.join(folder, name)) as there,
                ):
                    shutil.copyfileobj(here, there)
        except OSError as error:
            raise UserError(f"{folder} cannot be written: {error.strerror}") from None
    return storage.join(folder, stem)


def locate(source: str, step: int | None = None) -> tuple[str, str, list[str]]:
    """Finds (folder, prefix's name, names of its files) for `source` and `step`. Raises UserError as `read` does."""
    if storage.is_folder(source):
        folder, files = source, _prefixes(source)
        stem = _choose(source, files, step)
    else:
        match = _FILE.match(source)
        folder, _, stem = (match["stem"] if match else source).rpartition("/")
        folder = folder or "."
        if not storage.is_folder(folder):
            raise UserError(
                f"there is no folder {source if not match else folder}: give a checkpoint's folder or prefix"
            )
        if step is not None:
            raise UserError(f"--step chooses among the checkpoints of a folder, but {source} is not a folder")
        files = _prefixes(folder)
        if stem not in files:
            raise UserError(f"{folder} has no checkpoint {stem}{_good(files)}")
    names = files[stem]
    parts = [match["parts"] for name in names if (match := _FILE.match(name))]
    index = f"{stem}.index"
    if index not in names:
        raise UserError(f"{storage.join(folder, index)} is missing: the checkpoint is incomplete")
    totals = {int(part) for part in parts if part} or {1}
    for number in range(max(totals)):
        data = f"{stem}.data-{number:05d}-of-{max(totals):05d}"
        if data not in names:
            raise UserError(f"{storage.join(folder, data)} is missing: the checkpoint is incomplete")
    return folder, stem, names


def _prefixes(folder: str) -> dict[str, list[str]]:
    """Lists {prefix's name: names of its files} in a folder, not below it."""
    files: dict[str, list[str]] = {}
    for name in storage.list_names(folder):
        match = _FILE.match(name)
        if match:
            files.setdefault(match["stem"], []).append(name)
    return files


def _choose(folder: str, files: Mapping[str, list[str]], step: int | None) -> str:
    if not files:
        raise UserError(f"{folder} holds no TensorFlow checkpoint (files such as model-1.index and model-1.data-...)")
    if step is not None:
        stems = [stem for stem in files if stem.endswith(f"-{step}")]
        if not stems:
            raise UserError(f"{folder} has no checkpoint of step {step}{_good(files)}")
        return stems[0]
    if storage.exists(storage.join(folder, STATE_FILE)):
        match = _STATE.search(storage.read_bytes(storage.join(folder, STATE_FILE)).decode(errors="replace"))
        if match is None:
            raise UserError(f"{storage.join(folder, STATE_FILE)} names no model_checkpoint_path; choose with --step")
        stem = match[1].rpartition("/")[2]  # the folder may have had another path where the network was trained
        if stem not in files:
            raise UserError(f"{storage.join(folder, STATE_FILE)} names {stem}, which is not there{_good(files)}")
        return stem
    return max(files, key=lambda stem: (_number(stem), stem))


def _number(stem: str) -> int:
    tail = stem.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def _good(files: Mapping[str, list[str]]) -> str:
    return f"; it has {', '.join(sorted(files, key=_number))}" if files else ": it holds no TensorFlow checkpoint"


def _read_tensors(prefix: str, path: str) -> dict[str, np.ndarray]:
    """Reads {variable name: array}, with the step at STEP_KEY, but no slots, hyperparameters and object graph."""
    tf = quiet_tensorflow.import_tensorflow()
    tensors = {}
    try:
        reader = tf.train.load_checkpoint(prefix)
        for key in reader.get_variable_to_shape_map():
            name = _name(key)
            unused = name in (_GRAPH_KEY, COUNTER_KEY) or name.startswith("optimizer/") or "/.OPTIMIZER_SLOT/" in key
            if name == STEP_KEY or not unused:
                tensors[name] = reader.get_tensor(key)
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0].replace(prefix, path)
        raise UserError(f"{path} cannot be read as a TensorFlow checkpoint: {reason}") from None
    return tensors


def _name(key: str) -> str:
    """Decodes the variable's name from a key, in which `.S` is a slash and `..` is a dot."""
    return re.sub(r"\.(.)", lambda match: "/" if match[1] == "S" else match[1], key.removesuffix(_VALUE))
