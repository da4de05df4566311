"""Configs: JSON round trip, and what is refused with which words."""

import pytest

from coltran.errors import UserError
from coltran.networks import config as configs, presets
from coltran.networks.config import ColorizerConfig, UpsamplerConfig
from coltran.training import options as train_options


@pytest.mark.parametrize(("stage", "name"), [(s, n) for s, named in presets.PRESETS.items() for n in named])
def test_every_preset_survives_json(stage, name):
    height, width = (28, 28) if name == "coltran_s" else (28, 20)
    config = presets.network_config(stage, name, height=height, width=width)
    data = configs.to_json(stage, config)
    assert configs.from_json(data) == (stage, config)
    assert (data["height"], data["width"]) == (height, width)
    del data["compute_dtype"]  # as checkpoints were before that field
    assert configs.from_json(data) == (stage, config)


@pytest.mark.parametrize("stage", presets.PRESETS)
def test_presets_differ_from_each_other(stage):
    made = {}
    for name in presets.PRESETS[stage]:
        made[name] = (
            presets.network_config(stage, name, height=28, width=28),
            train_options.train_options(stage, name, {}),
        )
    made.pop("coltran_s", None)  # differs in its pixels
    assert len(set(made.values())) == len(made)


def test_what_the_paper_says_of_variants():
    def colorizer(name):
        return presets.network_config("colorizer", name, height=28, width=28)

    assert [colorizer(name).ff_size for name in ("coltran_b", "coltran_b_2x", "coltran_b_4x")] == [512, 1024, 2048]
    assert configs.replace_fields(colorizer("coltran_b_4x"), {"ff_size": 512}) == colorizer("coltran_b")
    stages = ("colorizer", "color_upsampler", "spatial_upsampler")
    sizes = [train_options.train_options(stage, "low_compute", {}).batch_size for stage in stages]
    assert sizes == [56, 192, 16]
    assert presets.network_config("spatial_upsampler", "low_compute", height=256, width=256).num_layers == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: presets.network_config("colorizer", "coltan", height=8, width=8), "Did you mean 'coltran'"),
        (lambda: presets.network_config("color_upsampler", "no_cln", height=8, width=8), "variant of the colorizer"),
        (
            lambda: presets.network_config("colorizer", "single_upsampler", height=8, width=8),
            "variant of the spatial_upsampler; stage 'colorizer' has coltran, coltran_b, coltran_b_2x",
        ),
        (lambda: presets.network_config("colorizer", "coltran_s", height=64, width=64), "28x28 pixels, got 64x64"),
        (lambda: configs.check_stage("color_upsampler", UpsamplerConfig(num_input_levels=256)), "levels 8, got 256"),
        (lambda: UpsamplerConfig(compute_dtype="float16"), "Did you mean 'bfloat16'.*float32, bfloat16"),
        (lambda: presets.network_config("colourizer", "smoke", height=8, width=8), "unknown stage"),
        (lambda: ColorizerConfig(hidden_size=30, num_heads=4), "multiple of num_heads"),
        (lambda: ColorizerConfig(num_inner_layers=0), "num_inner_layers must be"),
        (lambda: ColorizerConfig(mlp_modulation="afine"), "Did you mean 'affine'"),
        (lambda: ColorizerConfig(attention_modulated=()), "attention_modulated is empty"),
        (
            lambda: ColorizerConfig(context="global", attention_modulation="none", mlp_modulation="none"),
            "changes nothing",
        ),
        (lambda: UpsamplerConfig(num_input_levels=7), "8 .coarse color in. or 256"),
        (lambda: configs.replace_fields(ColorizerConfig(), {"hiden_size": 3}), "Did you mean 'hidden_size'"),
        (lambda: configs.parse_value(ColorizerConfig(), "hidden_size", "big"), "must be a whole number"),
        (lambda: configs.from_json({"stage": "colorizer"}), "lacks height"),
    ],
)
def test_refusals_name_the_good_choice(make, said):
    with pytest.raises(UserError, match=said):
        make()


def test_parse_value_follows_the_type_of_the_field():
    assert configs.parse_value(ColorizerConfig(), "hidden_size", "64") == 64
    assert configs.parse_value(ColorizerConfig(), "attention_modulated", "query,value") == ("query", "value")
    assert configs.parse_value(UpsamplerConfig(), "grayscale", "false") is False


def test_first_difference_names_field_and_both_values():
    small, large = ColorizerConfig(hidden_size=32), ColorizerConfig(hidden_size=64)
    assert configs.first_difference(small, small) is None
    assert configs.first_difference(small, large) == "hidden_size is 32, asked for 64"
