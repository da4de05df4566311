"""Checkpoints: round trip, and what a damaged, half-written or unfitting one says."""

import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
from flax import nnx

from coltran import storage
from coltran.errors import UserError
from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.weights import checkpoint, parameters, steps
from coltran.weights.arrays import ARRAYS
from coltran.weights.steps import METADATA

CONFIG = presets.network_config("color_upsampler", "smoke", height=4, width=6)


def arrays(seed=0):
    return parameters.flatten(nnx.state(parameters.build(CONFIG, seed=seed), nnx.Param))


def save(folder, step=3, **changes):
    given = {"stage": "color_upsampler", "config": CONFIG, "ema": arrays(0), "weights": arrays(1), **changes}
    return pathlib.Path(checkpoint.save(folder, step=step, **given))


def test_what_is_saved_is_loaded(tmp_path):
    optimizer = {"count": np.int32(7), "mean_square.head.bias": np.arange(4, dtype=np.float32)}
    save(tmp_path / "checkpoints", optimizer=optimizer, training={"seed": 5})
    loaded = checkpoint.load(tmp_path, stage="color_upsampler", config=CONFIG)
    assert (loaded.stage, loaded.config, loaded.step, loaded.training) == ("color_upsampler", CONFIG, 3, {"seed": 5})
    for name, array in arrays(0).items():
        np.testing.assert_array_equal(loaded.ema[name], array)
        np.testing.assert_array_equal(loaded.weights[name], arrays(1)[name])
    assert loaded.optimizer["count"] == 7
    np.testing.assert_array_equal(loaded.optimizer["mean_square.head.bias"], np.arange(4))
    network, _ = checkpoint.load_network(tmp_path, stage="color_upsampler", weights="raw")
    np.testing.assert_array_equal(network.head.kernel[...], arrays(1)["head.kernel"])


def test_the_newest_finished_step_is_taken_and_old_ones_are_removed(tmp_path):
    for step in (1, 2, 10):
        save(tmp_path, step, keep=2)
    assert checkpoint.finished_steps(tmp_path) == [2, 10]
    (tmp_path / "step_00000010" / METADATA).unlink()  # as if killed while writing
    assert checkpoint.load(tmp_path).step == 2
    save(tmp_path, 10)
    assert checkpoint.load(tmp_path).step == 10


def test_on_the_cloud_a_checkpoint_is_its_description_written_last(bucket, tmp_path, monkeypatch):
    folder, local = f"{bucket}/{tmp_path.name}/checkpoints", tmp_path / "local"
    for step in (1, 2, 10):
        for place in (folder, local):
            save(place, step, keep=2)
    assert checkpoint.finished_steps(folder) == [2, 10]
    mine, other = (checkpoint.load(place) for place in (folder, local))
    assert (mine.ema_sha256, mine.raw_sha256, mine.path) == (
        other.ema_sha256,
        other.raw_sha256,
        f"{folder}/step_00000010",
    )
    for name, array in other.optimizer.items():
        np.testing.assert_array_equal(mine.optimizer[name], array)

    def cut(*_: object) -> None:
        raise ConnectionError("the network is gone")

    with monkeypatch.context() as gone:
        gone.setattr(storage, "write_bytes", cut)
        with pytest.raises(UserError, match="step_00000010: the checkpoint cannot be written: the network is gone"):
            save(folder, 10)
    assert checkpoint.load(folder).step == 2
    storage.remove(f"{folder}/step_00000002/{METADATA}")
    with pytest.raises(UserError, match="holds no finished checkpoint"):
        checkpoint.load(folder)
    with pytest.raises(UserError, match="there is no folder gs://"):
        checkpoint.load(f"{bucket}/nowhere")


def test_a_step_on_the_cloud_is_set_aside_and_the_best_one_named(bucket, tmp_path):
    folder = f"{bucket}/{tmp_path.name}"
    for step in (1, 2, 3):
        save(folder, step)
    steps.mark_best(folder, 1)
    steps.remove_old(folder, 1)
    assert checkpoint.finished_steps(folder) == [1, 3]
    assert checkpoint.load(f"{folder}/best").step == 1
    steps.set_aside(f"{folder}/step_00000003")
    assert checkpoint.load(folder).step == 1
    assert checkpoint.load(f"{folder}/damaged_step_00000003").step == 3


SAVE_FOREVER = """
import sys
import numpy as np
from coltran.weights import checkpoint
first = checkpoint.load(sys.argv[1])
for step in range(1, 10_000):
    checkpoint.save(sys.argv[1], stage=first.stage, config=first.config, step=step, ema=first.ema,
                    weights=first.weights, optimizer={"large": np.ones(2_000_000, np.float32)}, keep=2)
"""


def test_killed_while_saving_the_previous_one_still_loads(tmp_path):
    save(tmp_path, 0)
    child = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(tmp_path)])
    deadline = time.monotonic() + 60
    while not pathlib.Path(checkpoint.step_folder(tmp_path, 3)).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert checkpoint.finished_steps(tmp_path)[-1] >= 2
    loaded = checkpoint.load(tmp_path)
    assert loaded.step == checkpoint.finished_steps(tmp_path)[-1]
    np.testing.assert_array_equal(loaded.ema["head.kernel"], arrays(0)["head.kernel"])


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        ({"stage": "colorizer"}, "a checkpoint of the color_upsampler, asked for the colorizer"),
        ({"config": replace_fields(CONFIG, {"width": 8})}, "width is 6, asked for 8"),
        ({"config": replace_fields(CONFIG, {"num_layers": 2, "grayscale": False})}, "num_layers is 1, asked for 2"),
    ],
)
def test_a_checkpoint_that_does_not_fit_names_the_first_difference(tmp_path, ask, said):
    save(tmp_path)
    with pytest.raises(UserError, match=said):
        checkpoint.load(tmp_path, **ask)


def edit_metadata(folder, **changes):
    file = folder / METADATA
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("damage", ["sha", "raw sha", "version", "json", "arrays", "config"])
def test_damage_is_told_in_one_sentence(tmp_path, damage):
    folder = save(tmp_path)
    if damage == "sha":
        edit_metadata(folder, ema_sha256="0" * 64)
    elif damage == "raw sha":
        edit_metadata(folder, raw_sha256="0" * 64)
    elif damage == "version":
        edit_metadata(folder, schema_version=99)
    elif damage == "json":
        (folder / METADATA).write_text("{")
    elif damage == "arrays":
        for file in (folder / ARRAYS).rglob("*"):
            if file.is_file():
                file.write_bytes(b"")
    else:
        metadata = json.loads((folder / METADATA).read_text())
        edit_metadata(folder, config={**metadata["config"], "hidden_size": 64})
    said = {
        "sha": "sha256 differs",
        "raw sha": "sha256 differs",
        "version": "schema version 99, this program reads 1",
        "json": "cannot be read",
        "arrays": "arrays cannot be read",
        "config": "parameter .* must have shape",
    }
    with pytest.raises(UserError, match=said[damage]):
        checkpoint.load(tmp_path)


def test_each_kind_of_weights_has_its_checksum_in_older_checkpoints_too(tmp_path):
    folder = save(tmp_path)
    wanted = {kind: parameters.checksum(arrays(seed)) for kind, seed in (("ema", 0), ("raw", 1))}
    metadata = json.loads((folder / METADATA).read_text())
    assert {kind: metadata[f"{kind}_sha256"] for kind in wanted} == wanted
    del metadata["raw_sha256"]  # as earlier versions wrote it
    (folder / METADATA).write_text(json.dumps(metadata))
    loaded = checkpoint.load(tmp_path)
    for kind, checksum in wanted.items():
        assert checkpoint.recorded_checksum(tmp_path, kind) == loaded.checksum(kind) == checksum


def test_weights_that_do_not_fit_are_not_saved(tmp_path):
    wrong = arrays()
    wrong["head.kernel"] = wrong["head.kernel"].T
    with pytest.raises(UserError, match=r"head.kernel must have shape"):
        save(tmp_path, weights=wrong)
    with pytest.raises(UserError, match="holds no finished checkpoint"):
        checkpoint.load(tmp_path)
