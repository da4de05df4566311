"""Frozen options define the colorizer and the upsamplers. They have a JSON form.

A config holds only what changes the shapes or the function of a network, so a checkpoint's config is enough to rebuild
its network. `coltran.training.options.TrainOptions` says how a network is trained.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from coltran.cli import nearest
from coltran.errors import UserError
from coltran.records.stages import STAGES

MODULATIONS = ("affine", "shift", "scale", "gated", "none")
LAYER_NORMS = ("learned", "mean", "none")
CONTEXTS = ("pointwise", "global")
ATTENTION_INPUTS = ("query", "key", "value")
COMPUTE_DTYPES = ("float32", "bfloat16", "float64")


def refuse_unknown(what: str, name: str, known: Iterable[str]) -> None:
    """Raises UserError if `name` is not in `known`. The message gives the most similar name and the whole list."""
    names = list(known)
    if name in names:
        return
    raise UserError(f"unknown {what} {name!r}.{nearest(name, names, cutoff=0.5)} Good names: {', '.join(names)}")


def _require_positive(config: Any, fields: Iterable[str]) -> None:
    for field in fields:
        value = getattr(config, field)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"{field} must be a whole number of at least 1, got {value!r}")


def _require_heads(hidden_size: int, num_heads: int) -> None:
    if hidden_size % num_heads:
        raise UserError(f"hidden_size {hidden_size} must be a multiple of num_heads {num_heads}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorizerConfig:
    """The autoregressive colorizer (paper, section 4 and table 1). The defaults are the paper's ColTran.

    `attention_modulation` and `mlp_modulation` say how the context changes attention (cAtt) and MLP (cMLP): `affine` is
    scale and shift, `gated` is (z + shift) * sigmoid(scale), `none` switches it off. `attention_modulated` lists which
    of query, key and value it touches. `conditional_layer_norm` (cLN) pools the context with `learned` weights or a
    fixed `mean`, or is off (`none`, a plain layer norm). `context` is what cAtt and cMLP see of the encoder: the value
    at each pixel, or its spatial mean (figure 7). `compute_dtype` is the dtype of activations. Parameters, softmax,
    statistics of layer norms, logits and losses are always float32. In training, float64 makes all of them float64, to
    compare programs. It needs JAX_ENABLE_X64=1.
    """

    height: int = 64
    width: int = 64
    num_symbols: int = 512
    num_gray_levels: int = 256
    hidden_size: int = 512
    num_heads: int = 4
    ff_size: int = 512
    num_encoder_layers: int = 4
    num_outer_layers: int = 2
    num_inner_layers: int = 2
    attention_modulation: str = "affine"
    attention_modulated: tuple[str, ...] = ATTENTION_INPUTS
    mlp_modulation: str = "affine"
    conditional_layer_norm: str = "learned"
    context: str = "pointwise"
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "attention_modulated", tuple(self.attention_modulated))
        sizes = [field.name for field in dataclasses.fields(self) if field.type is int]
        _require_positive(self, sizes)
        _require_heads(self.hidden_size, self.num_heads)
        refuse_unknown("attention_modulation", self.attention_modulation, MODULATIONS)
        refuse_unknown("mlp_modulation", self.mlp_modulation, MODULATIONS)
        refuse_unknown("conditional_layer_norm", self.conditional_layer_norm, LAYER_NORMS)
        refuse_unknown("context", self.context, CONTEXTS)
        refuse_unknown("compute_dtype", self.compute_dtype, COMPUTE_DTYPES)
        for name in self.attention_modulated:
            refuse_unknown("entry of attention_modulated", name, ATTENTION_INPUTS)
        if self.attention_modulation != "none" and not self.attention_modulated:
            raise UserError(
                "attention_modulated is empty but attention_modulation is "
                f"{self.attention_modulation!r}: name some of {', '.join(ATTENTION_INPUTS)}, or set it to 'none'"
            )
        modulated = self.attention_modulation != "none" or self.mlp_modulation != "none"
        if self.context == "global" and not modulated:
            raise UserError("context 'global' changes nothing when both modulations are 'none': use 'pointwise'")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpsamplerConfig:
    """A parallel upsampler (paper, sections 4.3 and 4.4). The defaults are the paper's color upsampler.

    `num_input_levels` is 8 for the color upsampler (3 bits per channel) and 256 for the spatial one. `grayscale` can
    switch the grayscale input off (paper, section 5.3). `compute_dtype` works as in ColorizerConfig.
    """

    height: int = 64
    width: int = 64
    num_input_levels: int = 8
    num_output_levels: int = 256
    num_gray_levels: int = 256
    hidden_size: int = 512
    num_heads: int = 4
    ff_size: int = 512
    num_layers: int = 4
    grayscale: bool = True
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        sizes = [field.name for field in dataclasses.fields(self) if field.type is int]
        _require_positive(self, sizes)
        _require_heads(self.hidden_size, self.num_heads)
        refuse_unknown("compute_dtype", self.compute_dtype, COMPUTE_DTYPES)
        if self.num_input_levels not in (8, 256):
            raise UserError(
                f"num_input_levels must be 8 (coarse color in) or 256 (full color in), got {self.num_input_levels}"
            )


NetworkConfig = ColorizerConfig | UpsamplerConfig


def joins_color_and_space(stage: str, config: NetworkConfig) -> bool:
    """Tells whether `config` upsamples coarse color in color and space at once (paper, section 5)."""
    return stage == "spatial_upsampler" and isinstance(config, UpsamplerConfig) and config.num_input_levels == 8


def check_stage(stage: str, config: NetworkConfig) -> None:
    """Raises UserError if a config contradicts its stage."""
    if stage == "color_upsampler" and isinstance(config, UpsamplerConfig) and config.num_input_levels != 8:
        raise UserError(f"the color_upsampler takes coarse colors: num_input_levels 8, got {config.num_input_levels}")


def config_class(stage: str) -> type[ColorizerConfig] | type[UpsamplerConfig]:
    """Returns the config class of a stage. Raises UserError for an unknown stage."""
    refuse_unknown("stage", stage, STAGES)
    return ColorizerConfig if stage == "colorizer" else UpsamplerConfig


def replace_fields(config: Any, changes: Mapping[str, Any]) -> Any:
    """Returns a config with some fields changed. Raises a UserError with the known names for an unknown field."""
    names = [field.name for field in dataclasses.fields(config)]
    for name in changes:
        refuse_unknown(f"field of {type(config).__name__}", name, names)
    return dataclasses.replace(config, **changes)


def parse_value(config: Any, name: str, text: str) -> Any:
    """Converts the command line's `text` to the type that the field `name` of `config` has now.

    Raises UserError if the field is unknown or the text does not fit its type. Tuples are written with commas.
    """
    refuse_unknown(f"field of {type(config).__name__}", name, [f.name for f in dataclasses.fields(config)])
    current = getattr(config, name)
    if isinstance(current, bool):
        if text.lower() not in ("true", "false"):
            raise UserError(f"{name} must be true or false, got {text!r}")
        return text.lower() == "true"
    if isinstance(current, tuple):
        return tuple(part for part in text.split(",") if part)
    kind = float if isinstance(current, float) else int if isinstance(current, int) else str
    try:
        return kind(text)
    except ValueError:
        wanted = "a number" if kind is float else "a whole number"
        raise UserError(f"{name} must be {wanted}, got {text!r}") from None


def to_json(stage: str, config: NetworkConfig) -> dict[str, Any]:
    """Makes a JSON-ready dict that `from_json` turns back into (stage, config)."""
    fields = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}
    return {"stage": stage, **fields}


def from_json(data: Mapping[str, Any]) -> tuple[str, NetworkConfig]:
    """Makes (stage, config) from `to_json`'s dict. Raises UserError for unknown, missing or contradictory fields."""
    if "stage" not in data:
        raise UserError(f"a config needs a 'stage', one of {', '.join(STAGES)}; got {sorted(data)}")
    stage = data["stage"]
    kind = config_class(stage)
    fields = {"compute_dtype": "float32", **data}  # checkpoints older than this field hold float32 networks
    del fields["stage"]
    missing = [field.name for field in dataclasses.fields(kind) if field.name not in fields]
    config = replace_fields(kind(), fields)
    if missing:
        raise UserError(f"the config of stage {stage!r} lacks {', '.join(missing)}")
    return stage, config


def first_difference(have: NetworkConfig, want: NetworkConfig) -> str | None:
    """Tells the first field that differs, as 'hidden_size is 32, asked for 64'. Returns None for equal configs."""
    if type(have) is not type(want):
        return f"it is a {type(have).__name__}, asked for a {type(want).__name__}"
    for field in dataclasses.fields(have):
        old, new = getattr(have, field.name), getattr(want, field.name)
        if old != new:
            return f"{field.name} is {old!r}, asked for {new!r}"
    return None
