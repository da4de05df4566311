"""coltran-train --evaluate: the release's bits, from a record folder, with every example counted once."""

import numpy as np
import pytest

from coltran import train
from coltran.networks import presets
from coltran.networks.config import UpsamplerConfig, replace_fields
from coltran.records import schema
from coltran.release import names as release_names
from coltran.weights import checkpoint, parameters
from tests.conftest import write_records

SMALL = {"hidden_size": 32, "ff_size": 32, "num_encoder_layers": 2}
FACTS = {schema.CROP: 0, schema.LABEL: 0, schema.GRAYSCALE: 0}


def parts(data, stage, config, folder):
    """Saves the release's weights as a checkpoint."""
    variables = {key[4:]: data[key] for key in data if key.startswith("var:")}
    flat = release_names.from_release(stage, config, variables)
    other = {name: array * 0 for name, array in flat.items()}
    checkpoint.save(folder, stage=stage, config=config, step=1, ema=flat, weights=other)
    assert set(flat) == set(parameters.shapes(config))
    return folder


def printed(capsys, folder, workdir, *more):
    capsys.readouterr()
    assert train.main(["--evaluate", "--data", str(folder), "--checkpoint", str(workdir), *more]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    return first, {name.strip(): float(value) for name, value in (line.rsplit(maxsplit=1) for line in rest)}


@pytest.mark.parametrize("batch_size", [1, 3])  # whole batches; one batch with padding
def test_both_heads_of_the_colorizer(reference, tmp_path, capsys, batch_size):
    data = reference("colorizer_coltran.npz")
    config = replace_fields(presets.network_config("colorizer", "coltran", height=8, width=8), SMALL)
    workdir = parts(data, "colorizer", config, tmp_path / "run")
    coarse = (data["rgb"] >> 5) @ np.array([64, 8, 1])
    rows = [
        {schema.KEY: f"image{i}", **FACTS, schema.GRAY_LO: gray, schema.COARSE_LO: symbols}
        for i, (gray, symbols) in enumerate(
            zip(data["gray"][..., 0].astype(np.uint8), coarse.astype(np.uint16), strict=True)
        )
    ]
    folder = write_records(tmp_path / "records", schema.TRUTH, schema.Sizes(lo=8, hi=8), rows)
    first, bits = printed(capsys, folder, workdir, f"--batch_size={batch_size}")
    assert "ema weights, 2 examples" in first
    assert bits["decoder bits per pixel"] == pytest.approx(float(data["decoder_bits_per_pixel"]), abs=1e-5)
    assert bits["parallel bits per pixel"] == pytest.approx(float(data["parallel_bits_per_pixel"]), abs=1e-5)
    if batch_size == 3:
        assert printed(capsys, folder, workdir, "--batch_size=3")[1] == bits
        rough = printed(capsys, folder, workdir, "--set=compute_dtype=bfloat16")[1]
        assert rough != bits
        assert rough == pytest.approx(bits, abs=0.005)
        assert train.main(["--evaluate", "--data", str(folder), "--checkpoint", str(workdir), "--set=ff_size=8"]) == 2
        assert "only compute_dtype can be another" in capsys.readouterr().err


def test_the_color_upsampler_is_measured_on_all_three_channels(reference, tmp_path, capsys):
    data = reference("color_upsampler.npz")
    config = UpsamplerConfig(height=8, width=8, hidden_size=32, ff_size=32, num_layers=2)
    workdir = parts(data, "color_upsampler", config, tmp_path / "run")
    coarse = data["coarse"] @ np.array([64, 8, 1])
    rgb, gray = data["rgb"].astype(np.uint8), data["gray"][..., 0].astype(np.uint8)
    rows = [
        {schema.KEY: f"{i}", **FACTS, schema.GRAY_LO: g, schema.COARSE_LO: c, schema.RGB_LO: image}
        for i, (g, c, image) in enumerate(zip(gray, coarse.astype(np.uint16), rgb, strict=True))
    ]
    folder = write_records(tmp_path / "records", schema.TRUTH, schema.Sizes(lo=8, hi=8), rows)
    _, bits = printed(capsys, folder, workdir, "--batch_size=3")
    logits = data["logits"].astype(np.float64)
    chosen = np.take_along_axis(logits, data["rgb"][..., None], axis=-1)[..., 0]
    want = (np.log2(np.exp(logits).sum(-1)) - chosen / np.log(2)).mean()
    assert bits["bits per dim"] == pytest.approx(want, abs=1e-5)
