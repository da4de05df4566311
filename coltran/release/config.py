"""Finds out from the shapes of its variables which network a public checkpoint holds, and checks its config.yaml."""

from collections.abc import Mapping
from typing import Any

from coltran.errors import UserError
from coltran.networks.config import STAGES, ColorizerConfig, NetworkConfig, UpsamplerConfig
from coltran.release.names import canonical_names, expected_names, spoken_name

Shape = tuple[int, ...]
_CORE = "col_tran_core"
_ENCODER = f"{_CORE}/gray_scale_encoder"
_OUTER, _INNER = f"{_CORE}/outer_decoder", f"{_CORE}/inner_decoder"
_INPUT_LEVELS = (8, 256)


class _Shapes:
    """Shapes of variables by canonical name. It raises UserError for a variable that is missing or does not fit."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.names = {canonical: name for name, canonical in canonical_names(shapes).items()}
        self._shapes = {canonical: tuple(shapes[name]) for canonical, name in self.names.items()}

    def sizes(self, canonical: str, *want: int | None) -> list[int]:
        """Returns the sizes of the axes for which `want` has None. The other axes must have the size in `want`."""
        if canonical not in self._shapes:
            raise UserError(f"variable {spoken_name(canonical, self.names)} is missing")
        shape = self._shapes[canonical]
        fits = len(shape) == len(want) and all(w in (None, size) for size, w in zip(shape, want, strict=True))
        if not fits:
            wanted = [size or "any" for size in want]
            raise UserError(f"variable {self.names[canonical]} must have shape {wanted}, got {list(shape)}")
        return [size for size, w in zip(shape, want, strict=True) if w is None]

    def has(self, part: str) -> bool:
        """Tells whether `part` is in any name."""
        return any(part in name for name in self._shapes)

    def count(self, layer: str) -> int:
        """Counts the numbers that follow `layer` in the names. For `dense#` it is 3 if dense#0 to dense#2 exist."""
        tails = {name[len(layer) :].partition("/")[0] for name in self._shapes if name.startswith(layer)}
        return 1 + max((int(tail) for tail in tails if tail.isdecimal()), default=-1)


def infer(shapes: Mapping[str, Shape]) -> tuple[str, NetworkConfig]:
    """Finds the (stage, config) of the variables {release name: shape}, as far as their shapes tell.

    Raises:
      UserError: the variables are not a ColTran network's, or one that is needed is missing or has a wrong shape.
    """
    scopes = {_CORE: STAGES[0], **{stage: stage for stage in STAGES[1:]}}
    stages = sorted({scopes[scope] for name in shapes if (scope := name.partition("/")[0]) in scopes})
    if len(stages) != 1:
        found = (
            f"variables of {' and '.join(stages)}" if stages else f"such as {', '.join(sorted(shapes)[:2]) or 'none'}"
        )
        raise UserError(f"expected the variables of one ColTran network (below {', '.join(scopes)}), found {found}")
    known = _Shapes(shapes)
    return stages[0], _colorizer(known) if stages[0] == STAGES[0] else _upsampler(known, stages[0])


def _stack(shapes: _Shapes, scope: str) -> dict[str, Any]:
    """Reads sizes, heads and the number of row and column pairs from the encoder of `scope`."""
    stack = f"{scope}/factorized_attention#0"
    (hidden,) = shapes.sizes(f"{stack}/layer_normalization#0/beta:0", None)
    query = f"{stack}/self_attention_nd#0/q/kernel:0"
    heads, head_size = shapes.sizes(query, hidden, None, None)
    shapes.sizes(query, hidden, heads, hidden // heads if heads * head_size != hidden else head_size)
    return {
        "height": shapes.sizes(f"{stack}/position_embed#0/position_embedding_0:0", None, 1, hidden)[0],
        "width": shapes.sizes(f"{stack}/position_embed#0/position_embedding_1:0", None, hidden)[0],
        "hidden_size": hidden,
        "num_heads": heads,
        "ff_size": shapes.sizes("dense#0/bias:0", None)[0],
        "layers": (shapes.count(f"{stack}/self_attention_nd#") + 1) // 2,
    }


def _colorizer(shapes: _Shapes) -> ColorizerConfig:
    stack = _stack(shapes, _ENCODER)
    layers, hidden = stack.pop("layers"), stack["hidden_size"]
    modulated = tuple(name for name in ("query", "key", "value") if shapes.has(f"/cond_{name[0]}/"))
    norms = "learned" if shapes.has("/spatial_average:0") else "mean"
    return ColorizerConfig(
        **stack,
        num_symbols=shapes.sizes(f"{_CORE}/auto_logits/bias:0", None)[0],
        num_gray_levels=shapes.sizes(f"{_ENCODER}/dense#0/kernel:0", None, hidden)[0],
        num_encoder_layers=layers,
        num_outer_layers=max(1, shapes.count(f"{_OUTER}/mask_col_att_"), shapes.count(f"{_OUTER}/unmask_row_att_")),
        num_inner_layers=max(1, shapes.count(f"{_INNER}/mask_row_att_")),
        attention_modulation=_attention_modulation(shapes, stack, modulated),
        attention_modulated=modulated or ColorizerConfig().attention_modulated,
        mlp_modulation="affine" if shapes.has("/affine_") else "shift" if shapes.has("/shift_") else "none",
        conditional_layer_norm=norms if shapes.has("/conditional_layer_norm#") else "none",
    )


def _attention_modulation(shapes: _Shapes, stack: Mapping[str, int], modulated: tuple[str, ...]) -> str:
    if not modulated:
        return "none"
    hidden, heads = stack["hidden_size"], stack["num_heads"]
    kernel = f"{_OUTER}/mask_col_att_0/cond_{modulated[0][0]}/kernel:0"
    (size,) = shapes.sizes(kernel, hidden, heads, None)
    return "shift" if size == hidden // heads else "affine"


def _upsampler(shapes: _Shapes, stage: str) -> UpsamplerConfig:
    stack = _stack(shapes, stage)
    layers, hidden = stack.pop("layers"), stack["hidden_size"]
    # There are four dense layers: embedding of levels, embedding of gray, the layer that mixes them, and the head.
    if shapes.count(f"{stage}/dense#") == 3:
        _refuse_half_an_input(shapes, stage, hidden)
    (rows,) = shapes.sizes(f"{stage}/dense#0/kernel:0", None, hidden)
    levels = next((levels for levels in _INPUT_LEVELS if 3 * levels == rows), None)
    if levels is None:
        raise UserError(f"variable {shapes.names[f'{stage}/dense#0/kernel:0']} must have 24 or 768 rows, got {rows}")
    return UpsamplerConfig(
        **stack,
        num_input_levels=levels,
        num_output_levels=shapes.sizes(f"{stage}/dense#3/bias:0", None)[0],
        num_gray_levels=shapes.sizes(f"{stage}/dense#1/kernel:0", None, hidden)[0],
        num_layers=layers,
    )


def _refuse_half_an_input(shapes: _Shapes, stage: str, hidden: int) -> None:
    """Raises UserError if the mixing layer takes two embeddings but only one exists, which ranks do not show."""
    (mixed,) = shapes.sizes(f"{stage}/dense#1/kernel:0", None, hidden)
    if mixed != 2 * hidden:
        return
    (rows,) = shapes.sizes(f"{stage}/dense#0/kernel:0", None, hidden)
    left = shapes.names[f"{stage}/dense#0/kernel:0"].split("/")[1]
    number = int(left.partition("_")[2] or 0)
    number += 1 if rows in [3 * levels for levels in _INPUT_LEVELS] else -1
    name = f"dense_{number}" if number > 0 else "dense"
    raise UserError(f"variable {stage}/{name}/kernel:0 is missing")


def release_model_config(stage: str, config: NetworkConfig) -> dict[str, Any]:
    """Makes the `model` part of the release's config.yaml. Raises UserError if the release cannot make this network."""
    expected_names(stage, config)
    if isinstance(config, UpsamplerConfig):
        return {
            "name": stage,
            "resolution": [config.height, config.width],
            "hidden_size": config.hidden_size,
            "ff_size": config.ff_size,
            "num_heads": config.num_heads,
            "num_encoder_layers": config.num_layers,
        }
    attention, norm = config.attention_modulation, config.conditional_layer_norm
    shared = {"ff_size": config.ff_size, "hidden_size": config.hidden_size, "num_heads": config.num_heads}
    modulated = config.attention_modulated if attention != "none" else ()
    return {
        "name": "coltran_core",
        "stage": "encoder_decoder",
        "resolution": [config.height, config.width],
        "hidden_size": config.hidden_size,
        "encoder": {**shared, "num_encoder_layers": config.num_encoder_layers, "dropout": 0.0},
        "decoder": {
            **shared,
            "resolution": [config.height, config.width],
            "num_outer_layers": config.num_outer_layers,
            "num_inner_layers": config.num_inner_layers,
            "dropout": 0.0,
            "skip": True,
            **{f"cond_att_{name[0]}": name in modulated for name in ("query", "key", "value")},
            "cond_att_scale": attention == "affine",
            "cond_att_act": "identity",
            "cond_att_init": "glorot_uniform",
            "cond_mlp": "" if config.mlp_modulation == "none" else config.mlp_modulation,
            "cond_mlp_act": "identity",
            "cond_ln": norm != "none",
            "cond_ln_sp_ave": "mean" if norm == "mean" else "learnable",
            "cond_ln_seq": "sc",
            "cond_ln_act": "identity",
            "cond_ln_init": "glorot_uniform",
        },
    }


def check_yaml(stage: str, config: NetworkConfig, text: str, path: str) -> None:
    """Raises UserError for the first entry of a config.yaml that contradicts the shapes or our networks.

    An entry contradicts our networks if it names a function (an activation, an order) that they do not have. Entries
    may be missing.
    """
    import yaml

    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML file: {' '.join(str(error).split())}") from None
    model = given.get("model") if isinstance(given, dict) else None
    if not isinstance(model, dict):
        raise UserError(f"{path} has no entry `model`: it is not the config of a ColTran network")
    have, want = _flat(model), _flat(release_model_config(stage, config))
    unused: tuple[str, ...] = () if want.get("decoder.cond_ln") else ("decoder.cond_ln_",)
    unused += () if want.get("decoder.cond_mlp") else ("decoder.cond_mlp_",)
    unused += (
        ()
        if any(want.get(f"decoder.cond_att_{c}") for c in "qkv")
        else ("decoder.cond_att_scale", "decoder.cond_att_act")
    )
    for name, value in want.items():
        if name not in have or name.startswith(unused) or name.endswith(("dropout", "_init")):
            continue
        if (have[name] or None) != (value or None):
            raise UserError(
                f"{path} says model.{name} is {have[name]!r}, but the variables make it {value!r}: "
                "the two are not of one network. Use the config.yaml that belongs to the checkpoint, or none"
            )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in tree.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value})
    return flat
