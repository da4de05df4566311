"""The networks against the public release: same weights and inputs, same outputs."""

import json

import flax.nnx as nnx
import numpy as np
import pytest

from coltran.errors import UserError
from coltran.networks import presets
from coltran.networks.config import UpsamplerConfig
from coltran.release import names as release_names
from coltran.training import losses
from coltran.weights import parameters
from tests.coltran.symbols import of_symbols

COLORIZERS = (
    "coltran",
    "coltran_b",
    "no_cln",
    "no_cmlp",
    "no_catt",
    "shift_only",
    "catt_v_only",
    "cln_mean_pool",
)
LOGIT_TOLERANCE = 5e-5
BITS_TOLERANCE = 1e-5


def assert_close(ours, theirs, tolerance=LOGIT_TOLERANCE):
    ours = of_symbols(ours, theirs)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance


@nnx.jit
def run_colorizer(network, gray_BHW, symbols_BHW):
    return network.encode(gray_BHW).pixel_BHWD, network(gray_BHW, symbols_BHW)


@pytest.mark.parametrize("variant", COLORIZERS)
def test_colorizer_equals_the_release(release_colorizer, variant):
    network, gray, symbols, data = release_colorizer(variant)
    encoder, logits = run_colorizer(network, gray, symbols)
    assert_close(encoder, data["encoder"])
    assert_close(logits.parallel_BHWV, data["parallel_logits"])
    assert_close(logits.decoder_BHWV, data["decoder_logits"])
    for head, want in (("decoder", "decoder_bits_per_pixel"), ("parallel", "parallel_bits_per_pixel")):
        ours = losses.bits(getattr(logits, f"{head}_BHWV"), symbols).mean()
        assert abs(float(ours) - float(data[want])) <= BITS_TOLERANCE


def upsampler(stage, data):
    size = data["gray"].shape[1]
    config = UpsamplerConfig(
        height=size,
        width=size,
        num_input_levels=8 if stage == "color_upsampler" else 256,
        hidden_size=32,
        ff_size=32,
        num_layers=2,
    )
    variables = {key[4:]: data[key] for key in data if key.startswith("var:")}
    return parameters.restore(config, release_names.from_release(stage, config, variables))


@pytest.mark.parametrize(("stage", "inputs"), [("color_upsampler", "coarse"), ("spatial_upsampler", "low_res_up")])
def test_upsampler_equals_the_release(reference, stage, inputs):
    data = reference(f"{stage}.npz")
    network, gray, levels, rgb = upsampler(stage, data), data["gray"][..., 0], data[inputs], data["rgb"]
    call = nnx.jit(lambda net, x, c, g: net(x, c, g))
    for channel in range(3):
        logits = call(network, levels[..., channel], np.full(len(gray), channel), gray)
        assert_close(logits, data["logits"][..., channel, :])
    image = nnx.jit(lambda net, x, g: net.argmax(x, g))(network, levels, gray)
    np.testing.assert_array_equal(image, data["sample_argmax"])

    chosen = data["slice_channel_index"]  # the channel that each image trains on
    pick = [np.arange(len(gray)), slice(None), slice(None), chosen]
    logits = call(network, levels[tuple(pick)], chosen, gray)
    assert_close(logits[..., None, :], data["slice_logits"])
    loss = losses.bits(logits, rgb[tuple(pick)]).mean()
    assert abs(float(loss) - float(data["slice_bits_per_dim"])) <= BITS_TOLERANCE


@pytest.mark.parametrize(
    ("stage", "side", "count"),
    [
        ("colorizer", 64, 46_310_400),
        ("color_upsampler", 64, 13_476_608),
        ("spatial_upsampler", 256, 10_910_464),
    ],
)
def test_full_size_models_have_the_release_s_variables(reference_file, stage, side, count):
    config = presets.network_config(stage, "coltran", height=side, width=side)
    assert parameters.count(config) == count

    listed = json.loads(reference_file("release_variables.json").read_text())[stage]
    trainable = {entry["name"]: tuple(entry["shape"]) for entry in listed if entry["trainable"]}
    canonical = release_names.canonical_names(trainable)
    ours = release_names.expected_names(stage, config)
    assert set(canonical.values()) == set(ours)
    shapes = parameters.shapes(config)
    assert set(ours.values()) == set(shapes)
    for name, shape in trainable.items():
        squeezed = shape[1:3] if name.endswith("spatial_average:0") else shape
        assert shapes[ours[canonical[name]]] == squeezed, name
    fixed = [entry["name"] for entry in listed if not entry["trainable"]]
    assert all(release_names.is_fixed(name) for name in fixed)


def test_other_starting_numbers_map_the_same():
    names = ["dense_9/kernel:0", "dense_10/kernel:0", "dense_2/kernel:0", "scope/dense/kernel:0"]
    assert release_names.canonical_names(names) == {
        "dense_2/kernel:0": "dense#0/kernel:0",
        "dense_9/kernel:0": "dense#1/kernel:0",
        "dense_10/kernel:0": "dense#2/kernel:0",
        "scope/dense/kernel:0": "scope/dense#0/kernel:0",
    }


@pytest.mark.parametrize("damage", ["remove", "rename", "reshape", "gamma"])
def test_damaged_variables_are_refused_by_name(reference, damage):
    data = reference("colorizer_coltran.npz")
    variables = {key[4:]: data[key] for key in data if key.startswith("var:")}
    config = presets.network_config("colorizer", "coltran", height=8, width=8)
    config = presets.replace_fields(config, {"hidden_size": 32, "ff_size": 32, "num_encoder_layers": 2})
    name, said = "col_tran_core/auto_logits/kernel:0", "auto_logits/kernel"
    if damage == "remove":
        del variables[name]
    elif damage == "rename":
        variables[name + "_other"] = variables.pop(name)
    elif damage == "reshape":
        variables[name], said = variables[name].T, "auto_logits/kernel"
    else:
        name = said = "col_tran_core/inner_decoder/conditional_layer_norm_8/normalize/gamma:0"
        variables[name] = variables[name] * 2
    with pytest.raises(UserError, match=said):
        parameters.restore(config, release_names.from_release("colorizer", config, variables))
