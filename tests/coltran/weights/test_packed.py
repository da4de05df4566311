"""Packed checkpoints: half the bytes of float32, read by whoever reads checkpoints."""

import numpy as np
import pytest
from flax import nnx

from coltran.errors import UserError
from coltran.networks import presets
from coltran.training.options import train_options
from coltran.training.step import restore_state
from coltran.weights import checkpoint, packed, parameters

CONFIG = presets.network_config("color_upsampler", "smoke", height=4, width=6)


@pytest.fixture
def folder(tmp_path):
    ema = parameters.flatten(nnx.state(parameters.build(CONFIG, seed=0), nnx.Param))
    checkpoint.save(tmp_path, stage="color_upsampler", config=CONFIG, step=3, ema=ema, weights=ema)
    checkpoint.pack(checkpoint.load(tmp_path), tmp_path / "packed", training={"images": 9})
    return tmp_path / "packed"


def test_packed_weights_are_the_moving_average_rounded_to_float16(folder):
    loaded = checkpoint.load(folder, stage="color_upsampler", config=CONFIG)
    assert (loaded.step, loaded.training, loaded.optimizer) == (3, {"images": 9}, {})
    for name, array in checkpoint.load(folder.parent).ema.items():
        assert loaded.ema[name].dtype == np.float32
        np.testing.assert_array_equal(loaded.ema[name], array.astype(np.float16))
    network, again = checkpoint.load_network(folder, stage="color_upsampler", weights="raw")
    np.testing.assert_array_equal(network.head.kernel[...], loaded.ema["head.kernel"])
    assert again.checksum("raw") == loaded.checksum("ema")


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: b"no zip at all", lambda data: b""])
def test_a_damaged_file_is_refused_by_name(folder, damage):
    file = folder / packed.WEIGHTS
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(checkpoint.DamagedError, match="packed"):
        checkpoint.load(folder)


def test_other_weights_are_refused_by_their_checksum(folder):
    weights = packed.read(folder)
    weights["head.bias"][0] += 1
    packed.write(folder, weights)
    with pytest.raises(checkpoint.DamagedError, match="sha256"):
        checkpoint.load(folder)


def test_training_does_not_go_on_from_packed_weights(folder):
    with pytest.raises(UserError, match="no state of this optimizer"):
        restore_state(checkpoint.load(folder), train_options("color_upsampler", "smoke", {}))
