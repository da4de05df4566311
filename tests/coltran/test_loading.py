"""One call loads what training wrote and what the release wrote, and the documented lines give the bits of a photo."""

import numpy as np
import pytest
from flax import nnx

from coltran import import_release, loading
from coltran.errors import UserError
from coltran.images import colors
from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.training.step import colorizer_bits
from coltran.weights import built_in, checkpoint, parameters
from tests.conftest import smooth_photo


def test_a_checkpoint_and_the_release_s_format_are_the_same_network(tmp_path):
    small = {"hidden_size": 8, "ff_size": 8, "num_heads": 2}
    config = replace_fields(presets.network_config("colorizer", "coltran", height=8, width=8), small)
    flat = parameters.flatten(nnx.state(parameters.build(config, seed=1), nnx.Param))
    raw = {name: array + 0.25 for name, array in flat.items()}
    checkpoint.save(tmp_path / "ours", stage="colorizer", config=config, step=3, ema=flat, weights=raw)
    assert import_release.main(["--export", "--from", str(tmp_path / "ours"), "--to", str(tmp_path / "theirs")]) == 0
    for weights, wanted in (("ema", flat), ("raw", raw)):
        for folder in ("ours", "theirs"):
            network = loading.load(str(tmp_path / folder), weights=weights)
            found = parameters.flatten(nnx.state(network, nnx.Param))
            assert parameters.checksum(found) == parameters.checksum(wanted)
            assert network.config == config
    with pytest.raises(UserError, match="holds no finished checkpoint"):
        loading.load(str(tmp_path))


def test_bits_of_a_photo():
    network = loading.load(built_in.folder("colorizer"))
    side = network.config.height
    rgb = smooth_photo(3, side, side)
    batch = {"gray": colors.rgb_to_gray(rgb)[None], "symbols": colors.rgb_to_coarse(rgb)[None]}
    decoder, parallel = colorizer_bits(network, batch)
    assert decoder.shape == parallel.shape == (1, side, side)
    assert 0 < float(np.mean(decoder)) < 9
