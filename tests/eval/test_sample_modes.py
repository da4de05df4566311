"""What coltran-sample can make beside plain samples: the modes that the paper's tables and figures need."""

import json

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from coltran.images import colors
from coltran.records import folder as record_folder, schema
from coltran.weights import checkpoint, parameters
from tests.eval.test_sample import rows, run


def truths(folder):
    return {values[schema.KEY]: values for values in record_folder.open_folder(str(folder)).read()}


def test_the_upsamplers_on_true_coarse_colors(truth_folder, checkpoints, tmp_path, capsys):
    stages = ("color_upsampler", "spatial_upsampler")
    status, _, err = run(
        capsys, truth_folder, checkpoints, tmp_path / "out", "--seed=1", "--coarse=truth", stages=stages
    )
    assert status == 0, err
    made, truth = rows(tmp_path / "out"), truths(truth_folder)
    assert {key for key, _ in made} == set(truth)
    network, _ = checkpoint.load_network(checkpoints / "color_upsampler", stage="color_upsampler")
    for (key, sample), values in made.items():
        assert sample == 0
        assert schema.LOG_LIKELIHOOD not in values  # no colorizer ran
        np.testing.assert_array_equal(values[schema.COARSE_LO], truth[key][schema.COARSE_LO])
        levels = (colors.coarse_to_rgb(truth[key][schema.COARSE_LO]) >> 5)[None].astype(np.int32)
        want = network.argmax(levels, truth[key][schema.GRAY_LO][None].astype(np.int32))
        np.testing.assert_array_equal(values[schema.RGB_LO], want[0])


def test_the_manifest_names_the_weights_that_made_the_images(truth_folder, checkpoints, tmp_path, capsys):
    found = {}
    for kind in checkpoint.WEIGHTS:
        arguments = ["--seed=1", "--num=1", "--coarse=truth", f"--weights={kind}"]
        out = tmp_path / kind
        status, _, err = run(capsys, truth_folder, checkpoints, out, *arguments, stages=["color_upsampler"])
        assert status == 0, err
        manifest = record_folder.open_folder(str(out)).manifest
        network, _ = checkpoint.load_network(checkpoints / "color_upsampler", stage="color_upsampler", weights=kind)
        checksum = parameters.checksum(parameters.flatten(nnx.state(network, nnx.Param)))
        assert manifest.options["compute_dtype"] == "float32"
        assert manifest.options["color_upsampler"] == {"step": 7, "weights_sha256": checksum}
        found[kind] = next(iter(rows(out).values()))[schema.RGB_LO]
    assert (found["ema"] != found["raw"]).any()


def test_argmax_row_pooling_and_the_parallel_head_are_three_images(truth_folder, checkpoints, tmp_path, capsys):
    found = {}
    for name, arguments in {
        "argmax": ["--mode=argmax"],
        "row": ["--mode=argmax", "--pooling=row"],
        "parallel": ["--mode=parallel"],
    }.items():
        arguments = ["--seed=1", "--num=3", *arguments]
        status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / name, *arguments, stages=["colorizer"])
        assert status == 0, err
        found[name] = rows(tmp_path / name)
        assert record_folder.open_folder(str(tmp_path / name)).manifest.options["mode"] == arguments[2].split("=")[1]
    for one, other in (("argmax", "row"), ("argmax", "parallel"), ("row", "parallel")):
        assert any(
            found[one][place][schema.LOG_LIKELIHOOD] != found[other][place][schema.LOG_LIKELIHOOD]
            for place in found[one]
        )


def test_uncertainty_maps_and_seconds_by_stage(truth_folder, checkpoints, tmp_path, capsys):
    arguments = ["--seed=1", "--num=2", "--samples=2", f"--uncertainty={tmp_path / 'sure'}"]
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "out", *arguments)
    assert status == 0, err
    for (key, sample), values in rows(tmp_path / "out").items():
        path = tmp_path / "sure" / f"{key}_sample{sample}"
        sure = np.load(f"{path}.npy")
        assert (sure.dtype, sure.shape) == (np.float32, values[schema.COARSE_LO].shape)
        # The sample is at most as likely as if each pixel had taken its most likely color.
        assert values[schema.LOG_LIKELIHOOD] <= np.log2(sure).sum() + 1e-3
        assert np.asarray(Image.open(f"{path}.png").convert("RGB")).std() > 0
    run_facts = json.loads((tmp_path / "out" / "run.json").read_text())
    assert set(run_facts["seconds_by_stage"]) == {"colorizer", "color_upsampler", "spatial_upsampler"}
    assert all(seconds > 0 for seconds in run_facts["seconds_by_stage"].values())


@pytest.mark.parametrize(
    ("arguments", "stages", "message"),
    [
        (["--coarse=truth"], ["colorizer", "color_upsampler"], "--colorizer: --coarse truth takes"),
        (["--coarse=truth"], [], "give --color_upsampler"),
        (["--coarse=truth", "--samples=2"], ["color_upsampler"], "gives one image, whatever the sample index"),
        ([], ["color_upsampler"], "--colorizer is missing"),
        (["--mode=parallel", "--samples=2"], ["colorizer"], "--mode parallel gives one image"),
        (["--pooling=rows"], ["colorizer"], "invalid choice: 'rows'"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, stages, message, truth_folder, checkpoints, tmp_path, capsys):
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "out", "--seed=1", *arguments, stages=stages)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
