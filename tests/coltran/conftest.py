"""Fixtures of the network tests: reference data, and arrays whose ranks are never promoted silently."""

import functools
import os

import pytest

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
def release_colorizer(reference):
    """`release_colorizer("coltran")` -> (network with the release's weights, gray [B,H,W], symbols, the file)."""
    from coltran.networks import presets
    from coltran.networks.config import replace_fields
    from coltran.release import names as release_names
    from coltran.weights import parameters

    def load(variant: str):
        data = reference(f"colorizer_{variant}.npz")
        config = presets.network_config("colorizer", variant, height=8, width=8)
        config = replace_fields(config, {"hidden_size": 32, "ff_size": 32, "num_encoder_layers": 2})
        variables = {key[4:]: data[key] for key in data if key.startswith("var:")}
        flat = release_names.from_release("colorizer", config, variables)
        network = parameters.restore(config, flat)
        coarse = data["rgb"] >> 5
        symbols = coarse[..., 0] * 64 + coarse[..., 1] * 8 + coarse[..., 2]
        return network, data["gray"][..., 0], symbols, data

    return load
