"""Which variable of the public TensorFlow release is which parameter of ours.

Keras numbers layers in the order in which a program makes them (`dense_7`, `layer_normalization_12`,
`conditional_layer_norm_3`), so those numbers are not fixed: here they are replaced by their rank among the names that
differ in the number alone. `canonical_names` does that for names as found, `expected_names` lists what must come out.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from coltran.config import ColorizerConfig, NetworkConfig
from coltran.errors import UserError

_NUMBERED = re.compile(
    r"^(dense|layer_normalization|conditional_layer_norm|self_attention_nd|position_embed|factorized_attention)"
    r"(?:_(\d+))?$"
)
_ATTENTION = ("query", "key", "value")
_FIXED = ("normalize/gamma:0", "normalize/beta:0")


def canonical_names(names: Iterable[str]) -> dict[str, str]:
    """{name as found: canonical name}, such as dense_12/kernel:0 -> dense#/kernel:0@4 (the fifth such kernel)."""
    groups: dict[str, list[tuple[tuple[int, ...], str]]] = defaultdict(list)
    for name in names:
        parts, numbers = [], []
        for part in name.split("/"):
            match = _NUMBERED.match(part)
            parts.append(f"{match[1]}#" if match else part)
            if match:
                numbers.append(int(match[2] or 0))
        groups["/".join(parts)].append((tuple(numbers), name))
    return {
        name: f"{pattern}@{rank}"
        for pattern, members in groups.items()
        for rank, (_, name) in enumerate(sorted(members))
    }


class _Names:
    """Collects (canonical release name -> our name) in the order in which the release makes its layers."""

    def __init__(self) -> None:
        self.table: dict[str, str] = {}
        self._ranks: dict[str, int] = defaultdict(int)

    def add(self, pattern: str, ours: str) -> None:
        self.table[f"{pattern}@{self._ranks[pattern]}"] = ours
        self._ranks[pattern] += 1

    def dense(self, pattern: str, ours: str, *, bias: bool = True) -> None:
        self.add(f"{pattern}/kernel:0", f"{ours}.kernel")
        if bias:
            self.add(f"{pattern}/bias:0", f"{ours}.bias")

    def norm(self, pattern: str, ours: str) -> None:
        self.add(f"{pattern}/gamma:0", f"{ours}.scale")
        self.add(f"{pattern}/beta:0", f"{ours}.offset")

    def positions(self, scope: str, ours: str) -> None:
        self.add(f"{scope}/position_embed#/position_embedding_0:0", f"{ours}.rows")
        self.add(f"{scope}/position_embed#/position_embedding_1:0", f"{ours}.columns")

    def attention(self, scope: str, ours: str, *, along_columns: bool) -> None:
        for short, name in zip("qkv", _ATTENTION, strict=True):
            self.add(f"{scope}/{short}/kernel:0", f"{ours}.{name}")
        self.add(f"{scope}/output/kernel:0", f"{ours}.output")
        axis = 0 if along_columns else 1
        self.add(f"{scope}/relative_attention_bias_{axis}:0", f"{ours}.relative_bias")

    def mlp(self, ours: str) -> None:
        self.dense("dense#", f"{ours}.mlp_hidden")
        self.dense("dense#", f"{ours}.mlp_output")


def _add_axial_stack(names: _Names, scope: str, ours: str, num_layers: int) -> None:
    """The release's encoder and both upsamplers: unconditional row and column layers in turn."""
    scope = f"{scope}/factorized_attention#"
    names.positions(scope, f"{ours}positions")
    for index in range(2 * num_layers):
        layer = f"{ours}layers.{index}"
        names.attention(f"{scope}/self_attention_nd#", f"{layer}.attention", along_columns=index % 2 == 1)
        names.mlp(layer)
        names.norm(f"{scope}/layer_normalization#", f"{layer}.attention_norm")
        names.norm(f"{scope}/layer_normalization#", f"{layer}.mlp_norm")


def _add_decoder_layer(
    names: _Names, config: ColorizerConfig, scope: str, attention: str, affine: str, layer: str
) -> None:
    names.attention(f"{scope}/{attention}", f"{layer}.attention", along_columns=attention.startswith("mask_col"))
    if config.attention_modulation != "none":
        for short, name in zip("qkv", _ATTENTION, strict=True):
            if name in config.attention_modulated:
                names.add(f"{scope}/{attention}/cond_{short}/kernel:0", f"{layer}.attention.modulations.{name}.kernel")
    names.mlp(layer)
    if config.mlp_modulation != "none":
        kind = "shift" if config.mlp_modulation == "shift" else "affine"
        names.dense(f"{scope}/{kind}_{affine}", f"{layer}.mlp_context")
    for norm in ("attention_norm", "mlp_norm"):
        if config.conditional_layer_norm == "none":
            names.norm(f"{scope}/layer_normalization#", f"{layer}.{norm}")
            continue
        conditional = f"{scope}/conditional_layer_norm#"
        if config.conditional_layer_norm == "learned":
            names.add(f"{conditional}/spatial_average:0", f"{layer}.{norm}.pooling")
        names.dense(f"{conditional}/dense#", f"{layer}.{norm}.dense")


def _colorizer_names(config: ColorizerConfig) -> dict[str, str]:
    names, core = _Names(), "col_tran_core"
    names.dense(f"{core}/gray_scale_encoder/dense#", "encoder.embedding")
    _add_axial_stack(names, f"{core}/gray_scale_encoder", "encoder.", config.num_encoder_layers)
    names.dense(f"{core}/parallel_logits", "parallel_head", bias=False)
    names.dense(f"{core}/dense#", "symbol_embedding", bias=False)
    outer, inner = f"{core}/outer_decoder", f"{core}/inner_decoder"
    names.positions(outer, "outer_decoder.positions")
    for index in range(2 * config.num_outer_layers):
        block, column = divmod(index, 2)
        attention = f"mask_col_att_{block}" if column else f"unmask_row_att_{block}"
        affine = f"{'c' if column else 'r'}_{block}"
        _add_decoder_layer(names, config, outer, attention, affine, f"outer_decoder.layers.{index}")
    names.positions(inner, "inner_decoder.positions")
    for index in range(config.num_inner_layers):
        layer = f"inner_decoder.layers.{index}"
        _add_decoder_layer(names, config, inner, f"mask_row_att_{index}", f"c_{index}", layer)
    names.dense(f"{core}/auto_logits", "head")
    names.norm(f"{core}/layer_normalization#", "norm")
    return names.table


def expected_names(stage: str, config: NetworkConfig) -> dict[str, str]:
    """{canonical release name: our parameter name} for every parameter of `config`.

    Raises UserError for a variant that the release does not have.
    """
    if isinstance(config, ColorizerConfig):
        for field in ("attention_modulation", "mlp_modulation"):
            if getattr(config, field) in ("scale", "gated"):
                raise UserError(f"the public release has no {field} {getattr(config, field)!r}.")
        return _colorizer_names(config)
    names = _Names()
    names.dense(f"{stage}/dense#", "channel_embedding", bias=False)
    if config.grayscale:
        names.dense(f"{stage}/dense#", "gray_embedding", bias=False)
    names.dense(f"{stage}/dense#", "mix")
    names.dense(f"{stage}/dense#", "head")
    _add_axial_stack(names, stage, "", config.num_layers)
    return names.table


def is_fixed(name: str) -> bool:
    """Whether a release variable is the untrained gamma = 1 or beta = 0 of a conditional layer norm."""
    return name.endswith(_FIXED)


def from_release(stage: str, config: NetworkConfig, variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The release's variables {name: array} as our parameters {name: float32 array}.

    Raises:
      UserError: a variable is missing or left over, or a fixed gamma or beta is not 1 or 0; shapes are checked by
        `coltran.parameters.to_state`, except that the pooling weights [1,H,W,1] become [H,W] here.
    """
    for name, array in variables.items():
        value = 1.0 if name.endswith(_FIXED[0]) else 0.0
        if is_fixed(name) and not np.array_equal(array, np.full_like(array, value)):
            raise UserError(f"variable {name} must be {value:g} everywhere: the networks do not use it.")
    trained = [name for name in variables if not is_fixed(name)]
    found = {canonical: name for name, canonical in canonical_names(trained).items()}
    expected = expected_names(stage, config)
    missing = [canonical for canonical in expected if canonical not in found]
    extra = [found[canonical] for canonical in found if canonical not in expected]
    if missing or extra:
        raise UserError(
            f"the variables do not make a {stage}: missing {missing[:3] or 'none'}, left over {extra[:3] or 'none'}."
        )
    parameters = {ours: np.asarray(variables[found[name]], np.float32) for name, ours in expected.items()}
    return {name: a[0, :, :, 0] if name.endswith(".pooling") else a for name, a in parameters.items()}
