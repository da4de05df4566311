"""Every named config: a step of training, its likelihood, and an image, on a tiny record folder."""

import numpy as np
import pytest

from coltran import train
from coltran.networks import config, presets
from coltran.sampling import random_keys, sampler
from coltran.training import inputs
from coltran.weights import checkpoint

SMALL = [
    *("--set=hidden_size=8", "--set=num_heads=2", "--steps=1", "--batch_size=2"),
    *("--ema_decay=0.5", "--learning_rate=0.01"),
]
DEEP = {"colorizer": ("num_encoder_layers", "num_outer_layers", "num_inner_layers")}
QUICK = [("color_upsampler", "no_grayscale"), ("spatial_upsampler", "single_upsampler")]
ALL = [(stage, name) for stage, named in presets.PRESETS.items() for name in named if name != "smoke"]
CASES = [case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in ALL]


@pytest.fixture(scope="module")
def tiny_folder(photo_folder, tmp_path_factory):
    """`tiny_folder(lo)` -> a finished record folder at hi = 2 lo."""
    from pipelines import preprocess

    made = {}

    def make(lo):
        if lo not in made:
            made[lo] = tmp_path_factory.mktemp("records") / f"lo{lo}"
            given = ["--source", photo_folder, "--out", made[lo], f"--hi={2 * lo}", f"--lo={lo}", "--num_shards=1"]
            assert preprocess.main([*map(str, given), "--limit=3"]) == 0
        return made[lo]

    return make


@pytest.mark.parametrize(("stage", "name"), CASES)
def test_a_step_and_an_image(tiny_folder, stage, name, tmp_path, capsys):
    data = tiny_folder(28 if name == "coltran_s" else 4)
    flat_out = [f"--set={field}=1" for field in DEEP.get(stage, ("num_layers",))]
    named = ["--stage", stage, "--config", name, "--data", str(data), "--workdir", str(tmp_path)]
    assert train.main([*named, *SMALL, *flat_out]) == 0
    network, saved = checkpoint.load_network(tmp_path, stage=stage)
    assert saved.step == 1
    want = presets.PRESETS[stage][name]
    kept = {field: value for field, value in want.items() if field not in ("num_layers",)}
    assert {field: getattr(saved.config, field) for field in kept} == kept
    assert any(not np.array_equal(saved.ema[key], saved.weights[key]) for key in saved.ema)
    with inputs.Examples(str(data), stage, saved.config) as examples:
        batch = examples.batch(np.arange(2))
    gray = batch["gray"].astype(np.int32)
    if stage == "colorizer":
        keys = random_keys.sample_keys(0, ["a", "b"], [0, 0])
        drawn = sampler.sample_compiled(network, gray, keys, options=sampler.SamplerOptions())
        assert drawn.symbols_BHW.shape == gray.shape
        assert np.isfinite(drawn.log_likelihood_B).all()
        return
    assert batch["levels"].max() < saved.config.num_input_levels
    image = np.asarray(network.argmax(batch["levels"].astype(np.int32), gray))
    assert (image.shape, image.dtype) == ((*gray.shape, 3), np.uint8)
    other = np.asarray(network.argmax(batch["levels"].astype(np.int32), 255 - gray))
    assert np.array_equal(image, other) or saved.config.grayscale


def test_the_joint_upsampler_starts_from_coarse_colors(tiny_folder):
    joint = presets.network_config("spatial_upsampler", "single_upsampler", height=8, width=8)
    assert config.joins_color_and_space("spatial_upsampler", joint)
    with (
        inputs.Examples(str(tiny_folder(4)), "spatial_upsampler", joint) as examples,
        inputs.Examples(str(tiny_folder(4)), "color_upsampler") as low,
    ):
        batch, coarse = examples.batch(np.arange(3)), low.batch(np.arange(3))["levels"]
    np.testing.assert_array_equal(batch["levels"], coarse.repeat(2, axis=1).repeat(2, axis=2))
    assert batch["target"].shape == (3, 8, 8, 3)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--stage=colorizer", "--config=coltran_s"], "28x28 pixels, got 4x4"),
        (["--stage=color_upsampler", "--config=single_upsampler"], "variant of the spatial_upsampler"),
        (["--stage=color_upsampler", "--config=smoke", "--set=num_input_levels=256"], "num_input_levels 8, got 256"),
        (["--stage=colorizer", "--config=coltran_b_3x"], "Good names: coltran, coltran_b, coltran_b_2x, coltran_b_4x"),
    ],
)
def test_contradictions_are_refused(tiny_folder, flags, said, tmp_path, capsys):
    assert train.main([*flags, "--data", str(tiny_folder(4)), "--workdir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
