"""Which checkpoints samples are doubted of: by their bits, by their steps; and none that others trained."""

import pytest
from flax import nnx

from coltran.errors import UserError
from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.weights import built_in, checkpoint, maturity, parameters

OURS = {maturity.FINGERPRINT: "abc", maturity.HISTOGRAM_BITS: 6.39}
ENOUGH = maturity.FEWEST_STEPS
COLORIZER_BITS = "decoder_bits_per_pixel"


def described(step: int, training: dict, **bits: float) -> dict:
    return {"step": step, "training": training, "validation": bits}


@pytest.mark.parametrize(
    ("stage", "metadata", "said"),
    [
        ("colorizer", described(ENOUGH, OURS), None),
        ("colorizer", described(ENOUGH, OURS, decoder_bits_per_pixel=1.57, parallel_bits_per_pixel=9.0), None),
        ("colorizer", described(ENOUGH, OURS, decoder_bits_per_pixel=6.38), None),
        ("colorizer", described(ENOUGH, OURS, decoder_bits_per_pixel=6.41), "6.41 bits a pixel"),
        ("colorizer", described(600_000, OURS, decoder_bits_per_pixel=8.97), "would need 6.39"),
        ("colorizer", described(ENOUGH - 1, OURS), f"{ENOUGH - 1} steps, fewer than {ENOUGH}"),
        ("colorizer", described(1, OURS, decoder_bits_per_pixel=1.57), "1 steps, fewer"),
        # A checkpoint of before the entropy was kept is judged by its steps.
        ("colorizer", described(ENOUGH, {maturity.FINGERPRINT: "abc"}, decoder_bits_per_pixel=8.97), None),
        ("colorizer", described(60, {maturity.FINGERPRINT: "abc"}, decoder_bits_per_pixel=8.97), "60 steps"),
        ("color_upsampler", described(ENOUGH, OURS, bits_per_dim=4.9), None),
        ("color_upsampler", described(ENOUGH, OURS, bits_per_dim=5.1), "5.10 bits a channel"),
        ("spatial_upsampler", described(60, OURS, bits_per_dim=7.83), "7.83 bits a channel"),
        ("spatial_upsampler", described(60, OURS), "60 steps"),
        # Imported and shipped ones say nothing of coltran-train.
        ("colorizer", described(0, {}), None),
        ("colorizer", described(0, {"source": "gs://gresearch/coltran"}, decoder_bits_per_pixel=9.0), None),
        ("spatial_upsampler", described(3, {"records_fingerprint": "abc"}, bits_per_dim=8.0), None),
    ],
)
def test_what_is_doubted(stage, metadata, said):
    found = maturity.doubt(stage, metadata)
    assert (found is None) if said is None else (said in (found or ""))


def test_a_line_for_each_doubted_network(tmp_path):
    for stage, step in (("colorizer", 20), ("color_upsampler", ENOUGH)):
        config = replace_fields(
            presets.network_config(stage, "smoke", height=4, width=4), {"hidden_size": 4, "ff_size": 4}
        )
        flat = parameters.flatten(nnx.state(parameters.build(config, seed=1), nnx.Param))
        checkpoint.save(tmp_path / stage, stage=stage, config=config, step=step, ema=flat, weights=flat, training=OURS)
    networks = {"colorizer": tmp_path / "colorizer", "color_upsampler": tmp_path / "color_upsampler"}
    (line,) = maturity.doubts(networks | {"spatial_upsampler": None})
    assert line.startswith(f"{tmp_path}/colorizer/step_00000020: this colorizer was trained for 20 steps")
    assert "\n" not in line
    assert "--steps" in line


def test_the_networks_that_ship_are_trusted_and_known_by_one_word():
    assert not list(maturity.doubts(dict.fromkeys(presets.PRESETS, built_in.NAME)))
    for stage in presets.PRESETS:
        assert checkpoint.describe(built_in.NAME, stage=stage)[0] == str(built_in.folder(stage))
    with pytest.raises(UserError, match="give a --stage too"):
        checkpoint.describe(built_in.NAME)


def test_a_folder_may_have_that_name_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"\./built_in"):
        checkpoint.describe("./built_in", stage="colorizer")
