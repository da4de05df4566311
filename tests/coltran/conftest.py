"""Fixtures of the network tests: reference data, and arrays whose ranks are never promoted silently."""

import functools
import os
import pathlib

import numpy as np
import pytest
from scipy import special

from tests.conftest import load_arrays, reference_path

# Read by JAX when it is first imported; set here so that collecting other tests does not import it.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")

_path = functools.partial(reference_path, kept_in="release")


@pytest.fixture(scope="session")
def reference():
    """`reference("colorizer_coltran.npz")` -> {name: array}; skips where the file is not there."""
    return lambda name: load_arrays(_path(name))


@pytest.fixture(scope="session")
def reference_file():
    """`reference_file("release_variables.json")` -> its path; skips where it is not there."""
    return _path


@pytest.fixture(scope="session")
def release_checkpoint(reference, tmp_path_factory):
    """`release_checkpoint("colorizer")` -> a folder with the release's own checkpoint of that stage.

    In tests/testdata its files are without the weights, which `reference` has: written back here, byte for byte (the
    checksums of all tensors are in the index, and TensorFlow compares them when it reads).
    """

    @functools.cache
    def folder(stage: str) -> pathlib.Path:
        if os.environ.get("COLTRAN_REFERENCE"):
            return _path(f"release_checkpoints/{stage}")
        parts = load_arrays(_path(f"checkpoint_{stage}.npz"))
        weights = reference("colorizer_coltran.npz" if stage == "colorizer" else f"{stage}.npz")
        places = [parts.pop(name) for name in ("names", "places", "added")]
        data = parts["model-1.data-00000-of-00001"]
        for name, place, plus in zip(*places, strict=True):
            array = (weights[f"var:{name}"] + plus).view(np.uint8).ravel()
            data[place : place + array.size] = array
        made = tmp_path_factory.mktemp("release") / stage
        made.mkdir()
        for name, content in parts.items():
            (made / name).write_bytes(content.tobytes())
        return made

    return folder


@pytest.fixture(scope="session")
def release_colorizer(reference):
    """`release_colorizer("coltran")` -> (network with the release's weights, gray [B,H,W], symbols, the file)."""
    from coltran.networks import presets
    from coltran.networks.config import replace_fields
    from coltran.release import names as release_names
    from coltran.weights import parameters

    def load(variant: str):
        data = reference(f"colorizer_{variant}.npz")
        if "parallel_max_probability" not in data:  # in tests/testdata, where the logits are not whole
            data["parallel_max_probability"] = special.softmax(data["parallel_logits"], axis=-1).max(-1)
        config = presets.network_config("colorizer", variant, height=8, width=8)
        config = replace_fields(config, {"hidden_size": 32, "ff_size": 32, "num_encoder_layers": 2})
        variables = {key[4:]: data[key] for key in data if key.startswith("var:")}
        flat = release_names.from_release("colorizer", config, variables)
        network = parameters.restore(config, flat)
        coarse = data["rgb"] >> 5
        symbols = coarse[..., 0] * 64 + coarse[..., 1] * 8 + coarse[..., 2]
        return network, data["gray"][..., 0], symbols, data

    return load


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """Three tiny networks with random weights, of the sizes in colorize_command.py."""
    from flax import nnx

    from coltran.networks import presets
    from coltran.networks.config import replace_fields
    from coltran.weights import checkpoint, parameters
    from tests.coltran.colorize_command import STAGES

    tiny = {"hidden_size": 8, "ff_size": 8, "num_heads": 2}
    root = tmp_path_factory.mktemp("networks")
    for stage, side in STAGES.items():
        config = replace_fields(presets.network_config(stage, "smoke", height=side, width=side), tiny)
        flat = parameters.flatten(nnx.state(parameters.build(config, seed=3), nnx.Param))
        checkpoint.save(root / stage, stage=stage, config=config, step=1, ema=flat, weights=flat)
    return root
