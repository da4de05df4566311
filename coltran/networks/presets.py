"""Named configs for the three stages. Each is one line that says how it differs from the paper's size.

`network_config("colorizer", "smoke", height=32, width=32)` returns a config. Sizes come from the data.
"""

from typing import Any

from coltran.errors import UserError
from coltran.networks.config import ColorizerConfig, NetworkConfig, UpsamplerConfig, refuse_unknown, replace_fields

_COLTRAN_B = {"attention_modulation": "none", "mlp_modulation": "none", "conditional_layer_norm": "none"}

# The values are from section 5.1 of the paper and the public configs. docs/networks.md says which figure each variant
# is from. `low_compute` (appendix D) also has other batch sizes, see coltran/training/options.py.
COLORIZERS: dict[str, dict[str, Any]] = {
    "coltran": {},
    "coltran_b": _COLTRAN_B,
    "coltran_b_2x": {**_COLTRAN_B, "ff_size": 1024},
    "coltran_b_4x": {**_COLTRAN_B, "ff_size": 2048},
    "coltran_s": {"height": 28, "width": 28},
    "low_compute": {},
    "no_cln": {"conditional_layer_norm": "none"},
    "no_cmlp": {"mlp_modulation": "none"},
    "no_catt": {"attention_modulation": "none"},
    "shift_only": {"attention_modulation": "shift", "mlp_modulation": "shift"},
    "scale_only": {"attention_modulation": "scale", "mlp_modulation": "scale"},
    "catt_v_only": {"attention_modulated": ("value",)},
    "cln_mean_pool": {"conditional_layer_norm": "mean"},
    "gated": {"attention_modulation": "gated", "mlp_modulation": "gated"},
    "global_conditioning": {"context": "global"},
    "smoke": {
        "hidden_size": 32,
        "ff_size": 64,
        "num_heads": 2,
        "num_encoder_layers": 1,
        "num_outer_layers": 1,
        "num_inner_layers": 1,
    },
}

UPSAMPLERS: dict[str, dict[str, Any]] = {
    "coltran": {},
    "no_grayscale": {"grayscale": False},
    "low_compute": {},
    "smoke": {"hidden_size": 32, "ff_size": 32, "num_heads": 2, "num_layers": 1},
}

# The public release's spatial upsampler differs in two things: it takes full color, and it has 3 layers.
SPATIAL: dict[str, dict[str, Any]] = {
    "coltran": {"num_input_levels": 256, "num_layers": 3},
    "no_grayscale": {"num_input_levels": 256, "num_layers": 3, "grayscale": False},
    "low_compute": {"num_input_levels": 256, "num_layers": 2},
    "single_upsampler": {"num_input_levels": 8, "num_layers": 3},
    "smoke": {"num_input_levels": 256, "hidden_size": 16, "ff_size": 16, "num_heads": 1, "num_layers": 1},
}

PRESETS = {"colorizer": COLORIZERS, "color_upsampler": UPSAMPLERS, "spatial_upsampler": SPATIAL}


def network_config(stage: str, name: str, *, height: int, width: int) -> NetworkConfig:
    """Returns the config `name` of `stage` at `height` x `width` pixels.

    Raises:
      UserError: the name is unknown, or the named config does not have this size.
    """
    refuse_unknown("stage", stage, PRESETS)
    others = [other for other in PRESETS if name in PRESETS[other]]
    if name not in PRESETS[stage] and others:
        good = ", ".join(PRESETS[stage])
        raise UserError(f"config {name!r} is a variant of the {' and the '.join(others)}; stage {stage!r} has {good}")
    refuse_unknown(f"config of stage {stage!r}", name, PRESETS[stage])
    changes = PRESETS[stage][name]
    fixed = (changes.get("height", height), changes.get("width", width))
    if fixed != (height, width):
        raise UserError(
            f"config {name!r} is for {fixed[0]}x{fixed[1]} pixels, got {height}x{width}: "
            f"make records with coltran-preprocess --lo={fixed[0]}"
        )
    base = ColorizerConfig() if stage == "colorizer" else UpsamplerConfig()
    return replace_fields(base, {**changes, "height": height, "width": width})
