"""The three networks in a row: shapes, sharing of encodings, padding, and what does not fit."""

import numpy as np
import pytest
from flax import nnx

from coltran.errors import UserError
from coltran.images import colors
from coltran.images.geometry import area_resize
from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.sampling.pipeline import ColorizationPipeline
from coltran.sampling.sizes import resized_coarse
from coltran.weights import checkpoint, parameters

LOW, HIGH = 8, 16


def write(folder, stage, side, seed=0, **changes):
    config = replace_fields(presets.network_config(stage, "smoke", height=side, width=side), changes)
    flat = parameters.flatten(nnx.state(parameters.build(config, seed=seed), nnx.Param))
    raw = {name: array + 0.01 for name, array in flat.items()}
    checkpoint.save(folder / stage, stage=stage, config=config, step=1, ema=flat, weights=raw)
    return folder / stage


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return {
        "colorizer": write(folder, "colorizer", LOW),
        "color_upsampler": write(folder, "color_upsampler", LOW),
        "spatial_upsampler": write(folder, "spatial_upsampler", HIGH),
    }


@pytest.fixture(scope="module")
def pipeline(folders):
    return ColorizationPipeline.load(**folders, batch_size=2)


def images(count):
    rng = np.random.default_rng(0)
    shape = (count, LOW, LOW), (count, HIGH, HIGH)
    return tuple(rng.integers(0, 256, s, dtype=np.uint8) for s in shape)


def test_the_dtype_of_training_is_not_that_of_sampling(folders, pipeline, tmp_path):
    trained = write(tmp_path, "colorizer", LOW, compute_dtype="bfloat16")
    gray_lo, gray_hi = images(1)

    def probability(made):
        return made.colorize(gray_lo, gray_hi, keys=["a"], sample_indices=[0], seed=1).probability

    other = ColorizationPipeline.load(**(folders | {"colorizer": trained}), batch_size=2)
    np.testing.assert_array_equal(probability(other), probability(pipeline))
    fast = ColorizationPipeline.load(**folders, batch_size=2, compute_dtype="bfloat16")
    assert (probability(fast) != probability(pipeline)).any()


def test_results_have_the_documented_types_and_follow_from_each_other(pipeline):
    gray_lo, gray_hi = images(3)
    result = pipeline.colorize(gray_lo, gray_hi, keys=["a", "b", "c"], sample_indices=[0, 0, 0], seed=1)
    assert (result.coarse_lo.dtype, result.coarse_lo.shape) == (np.uint16, (3, LOW, LOW))
    assert (result.rgb_lo.dtype, result.rgb_lo.shape) == (np.uint8, (3, LOW, LOW, 3))
    assert (result.rgb_hi.dtype, result.rgb_hi.shape) == (np.uint8, (3, HIGH, HIGH, 3))
    assert (result.log_likelihood.dtype, result.log_likelihood.shape) == (np.float32, (3,))
    bits = np.log2(result.probability.astype(np.float64)).sum(axis=(1, 2))
    np.testing.assert_allclose(result.log_likelihood, bits, rtol=1e-5)
    assert (result.max_probability >= result.probability).all()
    np.testing.assert_array_equal(pipeline.upsample_color(result.coarse_lo, gray_lo), result.rgb_lo)
    np.testing.assert_array_equal(pipeline.upsample_space(result.rgb_lo, gray_hi), result.rgb_hi)


def test_samples_do_not_depend_on_neighbors_padding_or_shared_encodings(pipeline):
    gray_lo, gray_hi = images(3)
    rows, keys, samples = [0, 0, 0, 1, 2, 2], list("aaabcc"), [0, 1, 2, 0, 1, 0]
    together = pipeline.colorize(gray_lo[rows], gray_hi[rows], keys=keys, sample_indices=samples, seed=1)
    order = [4, 2, 3, 0, 5, 1]
    for first in range(0, 6, 3):  # another order and other calls: every image meets other neighbors
        part = order[first : first + 3]
        picked = [rows[i] for i in part]
        alone = pipeline.colorize(
            gray_lo[picked],
            gray_hi[picked],
            keys=[keys[i] for i in part],
            sample_indices=[samples[i] for i in part],
            seed=1,
        )
        for field in ("coarse_lo", "rgb_lo", "rgb_hi", "log_likelihood"):
            np.testing.assert_array_equal(getattr(alone, field), getattr(together, field)[part])
    assert not np.array_equal(together.coarse_lo[0], together.coarse_lo[1])


def test_without_upsamplers_colors_are_the_bottoms_of_the_bins(folders):
    alone = ColorizationPipeline.load(colorizer=folders["colorizer"], batch_size=2)
    result = alone.colorize(images(1)[0], keys=["a"], sample_indices=[0], seed=1)
    assert result.rgb_hi is None
    np.testing.assert_array_equal(result.rgb_lo, colors.coarse_to_rgb(result.coarse_lo))


def test_a_smaller_colorizer_sees_and_makes_images_resized_by_area(folders, tmp_path):
    small = write(tmp_path, "colorizer", 4)
    pipeline = ColorizationPipeline.load(**{**folders, "colorizer": small}, batch_size=2)
    gray_lo, gray_hi = images(3)
    keys, samples = list("abc"), [0, 0, 0]
    result = pipeline.colorize(gray_lo, gray_hi, keys=keys, sample_indices=samples, seed=1)
    assert (pipeline.size, result.coarse_lo.shape) == ((LOW, LOW), (3, LOW, LOW))
    assert (result.rgb_hi.shape, result.probability.shape) == ((3, HIGH, HIGH, 3), (3, 4, 4))
    gray = np.stack([area_resize(image, 4, 4) for image in gray_hi])
    alone = ColorizationPipeline.load(colorizer=small, batch_size=2)
    core = alone.colorize(gray, keys=keys, sample_indices=samples, seed=1)
    np.testing.assert_array_equal(result.coarse_lo, core.coarse_lo.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_array_equal(result.log_likelihood, core.log_likelihood)


def test_coarse_colors_between_pixels_take_the_nearest_level():
    levels = np.array([[0, 7], [2, 3]])
    resized = resized_coarse((levels * 73).astype(np.uint16)[None], (1, 2))  # 73 = 64 + 8 + 1: gray
    np.testing.assert_array_equal(resized, [[[1 * 73, 5 * 73]]])


def test_one_upsampler_for_color_and_space(folders, tmp_path):
    joint = write(tmp_path, "spatial_upsampler", HIGH, num_input_levels=8)
    pipeline = ColorizationPipeline.load(colorizer=folders["colorizer"], spatial_upsampler=joint, batch_size=2)
    gray_lo, gray_hi = images(2)
    result = pipeline.colorize(gray_lo, gray_hi, keys=["a", "b"], sample_indices=[0, 0], seed=1)
    network, _ = checkpoint.load_network(joint, stage="spatial_upsampler")
    levels = np.stack([result.coarse_lo // 64, result.coarse_lo // 8 % 8, result.coarse_lo % 8], axis=-1)
    enlarged = levels.repeat(2, axis=1).repeat(2, axis=2).astype(np.int32)
    want = nnx.jit(lambda net, x, g: net.argmax(x, g))(network, enlarged[:1], gray_hi[:1].astype(np.int32))
    np.testing.assert_array_equal(result.rgb_hi[:1], want)
    with pytest.raises(UserError, match="give no color upsampler"):
        ColorizationPipeline.load(**{**folders, "spatial_upsampler": joint})
    with pytest.raises(UserError, match="needs a color upsampler before it"):
        ColorizationPipeline.load(
            colorizer=folders["colorizer"], spatial_upsampler=folders["spatial_upsampler"], batch_size=2
        )


def test_raw_weights_are_others(folders, pipeline):
    raw = ColorizationPipeline.load(**folders, batch_size=2, weights="raw")
    assert raw.checksums["colorizer"] != pipeline.checksums["colorizer"]


@pytest.mark.parametrize("mistake", ["shape", "dtype", "length", "no_hi", "empty"])
def test_wrong_inputs_are_refused(pipeline, mistake):
    gray_lo, gray_hi = images(2)
    keys = ["a", "b"]
    if mistake == "shape":
        gray_lo = gray_lo[:, :4]
    elif mistake == "dtype":
        gray_lo = gray_lo.astype(np.int32)
    elif mistake == "length":
        keys = ["a"]
    elif mistake == "no_hi":
        gray_hi = None
    else:
        gray_lo, gray_hi, keys = gray_lo[:0], gray_hi[:0], []
    with pytest.raises(UserError, match=r"gray_lo must be|same length|gray_hi is needed"):
        pipeline.colorize(gray_lo, gray_hi, keys=keys, sample_indices=[0] * len(keys), seed=1)


def test_networks_that_do_not_fit_are_refused(folders, tmp_path):
    with pytest.raises(UserError, match="checkpoint of the colorizer, asked for the color_upsampler"):
        ColorizationPipeline.load(colorizer=folders["colorizer"], color_upsampler=folders["colorizer"])
    with pytest.raises(UserError, match="8x8 pixels, the color upsampler takes 6x6"):
        ColorizationPipeline.load(colorizer=folders["colorizer"], color_upsampler=write(tmp_path, "color_upsampler", 6))
    with pytest.raises(UserError, match="no whole multiple"):
        ColorizationPipeline.load(**{**folders, "spatial_upsampler": write(tmp_path, "spatial_upsampler", 12)})
    with pytest.raises(UserError, match="there is no folder"):
        ColorizationPipeline.load(colorizer=tmp_path / "missing")
