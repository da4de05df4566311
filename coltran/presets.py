"""Named configs: each one line against the paper's size, for the three stages.

`network_config("colorizer", "smoke", height=32, width=32)` gives the network; sizes come from the data.
"""

from typing import Any

from coltran.config import (
    ColorizerConfig,
    NetworkConfig,
    UpsamplerConfig,
    refuse_unknown,
    replace_fields,
)
from coltran.errors import UserError

# Paper, section 5.1, and the public configs: the variants of figures 3, 4 and 7 change the colorizer only.
COLORIZERS: dict[str, dict[str, Any]] = {
    "coltran": {},
    "coltran_b": {"attention_modulation": "none", "mlp_modulation": "none", "conditional_layer_norm": "none"},
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
    "smoke": {"hidden_size": 32, "ff_size": 32, "num_heads": 2, "num_layers": 1},
}

# What the public release's spatial upsampler differs in: full color in, and 3 layers.
SPATIAL: dict[str, dict[str, Any]] = {
    "coltran": {"num_input_levels": 256, "num_layers": 3},
    "smoke": {"num_input_levels": 256, "hidden_size": 16, "ff_size": 16, "num_heads": 1, "num_layers": 1},
}

PRESETS = {"colorizer": COLORIZERS, "color_upsampler": UPSAMPLERS, "spatial_upsampler": SPATIAL}


def network_config(stage: str, name: str, *, height: int, width: int) -> NetworkConfig:
    """The config `name` of `stage` at `height` x `width` pixels. Raises UserError for unknown names."""
    refuse_unknown("stage", stage, PRESETS)
    changes = PRESETS[stage].get(name)
    if changes is None and name in COLORIZERS:
        good = ", ".join(PRESETS[stage])
        raise UserError(f"config {name!r} is a variant of the colorizer; stage {stage!r} has {good}.")
    refuse_unknown(f"config of stage {stage!r}", name, PRESETS[stage])
    base = ColorizerConfig() if stage == "colorizer" else UpsamplerConfig()
    return replace_fields(base, {**changes, "height": height, "width": width})
