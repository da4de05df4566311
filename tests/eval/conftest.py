"""Fixtures: tiny networks for sampling; for FID parity data, the rule-made weights of it, and its images."""

import functools
import json
import os

import numpy as np
import pytest

from coltran.records import schema
from eval.features.extractors import RANDOM_NOTE, Extractor
from tests.conftest import TESTDATA, load_arrays, reference_path, write_records
from tests.eval.fid_runs import SIZES, truth_rows

_path = functools.partial(reference_path, kept_in="fid", below="fid")


@pytest.fixture(scope="session")
def parity_file():
    """`parity_file("mini_zip.pth")` -> its path; skips where it is not there."""
    return _path


@pytest.fixture(scope="session")
def parity():
    """`parity("tiny_golden.npz")` -> {name: array}; with `dims` at least its first `dims` columns; else skips."""

    def load(name: str, dims: int | None = None):
        first = f"{name.removesuffix('.npz')}_first{dims}.npz"
        whole = os.environ.get("COLTRAN_REFERENCE") or not (TESTDATA / "fid" / first).exists()
        return load_arrays(_path(name if whole else first))

    return load


@pytest.fixture(scope="session")
def parity_weights():
    """`parity_weights("rule" or "calib")` -> the weights that the golden features were computed with, by their rule."""
    shapes = json.loads(_path("manifest.json").read_text())["shapes"]
    generator = np.random.Generator(np.random.PCG64(20151205))
    rule = {key: _ruled(key, shapes[key], generator.random(shapes[key])) for key in sorted(shapes)}
    flat = np.load(_path("bn_calib_f16.npy")).astype(np.float32)
    statistics = sorted(key for key in rule if "running_" in key)
    parts = np.split(flat, np.cumsum([rule[key].size for key in statistics])[:-1])
    return {"rule": rule, "calib": rule | dict(zip(statistics, parts, strict=True))}.__getitem__


def _ruled(key: str, shape: list[int], uniform: np.ndarray) -> np.ndarray:
    low, high = {
        "conv.weight": (-1, 1),
        "bn.weight": (0.75, 1.25),
        "bn.bias": (-0.3, 0.3),
        "bn.running_mean": (-0.2, 0.2),
        "bn.running_var": (0.5, 1.5),
        "fc.weight": (-1, 1),
        "fc.bias": (-0.1, 0.1),
    }[".".join(key.split(".")[-2:])]
    scale = 1.0
    if key.endswith("conv.weight"):
        scale = np.sqrt(6 / np.prod(shape[1:]))
    elif key == "fc.weight":
        scale = np.sqrt(3 / shape[1])
    return ((low + (high - low) * uniform) * scale).astype(np.float16).astype(np.float32)


@pytest.fixture(scope="session")
def tiny_images():
    """uint8 [4, 256, 256, 3]: 16 x 16 blocks of random color under noise, as in `tiny_golden.npz`."""
    generator = np.random.Generator(np.random.PCG64(7))
    blocks = (generator.random((4, 16, 16, 3)) * 224).astype(np.int64)
    noise = (generator.random((4, 256, 256, 3)) * 32).astype(np.int64)
    return (np.kron(blocks, np.ones((1, 16, 16, 1), np.int64)) + noise).astype(np.uint8)


STAGES = {"colorizer": 16, "color_upsampler": 16, "spatial_upsampler": 32}
TINY = {"hidden_size": 8, "ff_size": 8, "num_heads": 2}


def save_untrained(folder, stage: str, side: int, **changes) -> None:
    from flax import nnx

    from coltran.networks import presets
    from coltran.networks.config import replace_fields
    from coltran.weights import checkpoint, parameters

    config = replace_fields(presets.network_config(stage, "smoke", height=side, width=side), TINY | changes)
    weights = parameters.flatten(nnx.state(parameters.build(config, seed=3), nnx.Param))
    weights = {name: np.asarray(array) for name, array in weights.items()}
    raw = {name: -array for name, array in weights.items()}  # others, so that mixing them up shows
    checkpoint.save(folder, stage=stage, config=config, step=7, ema=weights, weights=raw)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Three tiny networks with random weights, for lo = 16 and hi = 32."""
    root = tmp_path_factory.mktemp("checkpoints")
    for stage, side in STAGES.items():
        save_untrained(root / stage, stage, side)
    return root


@pytest.fixture(scope="session")
def holdout(tmp_path_factory):
    """21 truth records in 3 shards: a number that no batch size divides."""
    rows = truth_rows("holdout", 21, seed=100)
    return write_records(tmp_path_factory.mktemp("holdout") / "records", schema.TRUTH, SIZES, rows, num_shards=3)


@pytest.fixture(scope="session")
def more(tmp_path_factory):
    """9 further truth records."""
    return write_records(
        tmp_path_factory.mktemp("more") / "records", schema.TRUTH, SIZES, truth_rows("more", 9, seed=200)
    )


@pytest.fixture
def quick_features(monkeypatch):
    """Features that cost nothing and do not depend on the batch: 2048 fixed mixtures of a few pixels."""
    from eval.scoring import network

    mixing = np.random.default_rng(0).normal(size=(48, 2048))

    def engine(images):
        corner = images[:, :4, :4].reshape(len(images), 48).astype(np.float64)
        return (corner[:, None, :] @ mixing)[:, 0].astype(np.float32)

    quick = Extractor(
        name="random", weights_sha256="0" * 64, resize="tf1", comparable=False, note=RANDOM_NOTE, engine=engine
    )
    monkeypatch.setattr(network, "shared_extractor", lambda options: quick)
    return quick
