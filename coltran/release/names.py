"""Maps the variables of the public TensorFlow release to our parameters.

Keras numbers layers in the order in which a program makes them (`dense_7`, `layer_normalization_12`,
`conditional_layer_norm_3`), so those numbers are not fixed. A canonical name has `#` and the rank among its siblings
instead of each number. `canonical_names` makes canonical names from the names in a checkpoint. `expected_names` lists
the names that must result. `release_names` restores the numbers that the release's own program uses when it makes one
network.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from coltran.errors import UserError
from coltran.networks.config import ColorizerConfig, NetworkConfig
from coltran.weights import parameters

_NUMBERED = re.compile(
    r"^(dense|layer_normalization|conditional_layer_norm|self_attention_nd|position_embed|factorized_attention)"
    r"(?:_(\d+))?$"
)
_RANKED = re.compile(r"^(\w+)#(\d+)$")
_IN_NORM = re.compile(r"/conditional_layer_norm#\d+/dense#")
_ATTENTION = ("query", "key", "value")
_FIXED = {"normalize/gamma:0": 1.0, "normalize/beta:0": 0.0}
_NAMED_AT_MOST = 4  # at most so many variables in one message


def canonical_names(names: Iterable[str]) -> dict[str, str]:
    """Makes {found name: canonical name}, as a/dense_12/kernel:0 -> a/dense#4/kernel:0 (the fifth `dense` in a)."""
    names = list(names)
    siblings: dict[tuple[str, str], set[int]] = defaultdict(set)
    for name in names:
        for parent, kind, number in _numbered_parts(name):
            siblings[parent, kind].add(number)
    ranks = {family: {n: rank for rank, n in enumerate(sorted(numbers))} for family, numbers in siblings.items()}
    canonical = {}
    for name in names:
        parts = name.split("/")
        for parent, kind, number in _numbered_parts(name):
            parts[parent.count("/") + 1 if parent else 0] = f"{kind}#{ranks[parent, kind][number]}"
        canonical[name] = "/".join(parts)
    return canonical


def _numbered_parts(name: str) -> Iterable[tuple[str, str, int]]:
    """Yields (path above it, kind, number) for each part of a name that Keras numbers."""
    parts = name.split("/")
    for index, part in enumerate(parts):
        match = _NUMBERED.match(part)
        if match:
            yield "/".join(parts[:index]), match[1], int(match[2] or 0)


class _Names:
    """Collects (canonical release name -> our name) in the order in which the release makes its layers."""

    def __init__(self) -> None:
        self.table: dict[str, str] = {}
        self._ranks: dict[str, int] = defaultdict(int)

    def place(self, layer: str) -> str:
        """Returns the canonical path of the next layer called `layer`. Layers that Keras numbers end in `#`."""
        if not layer.endswith("#"):
            return layer
        self._ranks[layer] += 1
        return f"{layer}{self._ranks[layer] - 1}"

    def dense(self, layer: str, ours: str, *, bias: bool = True) -> None:
        path = self.place(layer)
        self.table[f"{path}/kernel:0"] = f"{ours}.kernel"
        if bias:
            self.table[f"{path}/bias:0"] = f"{ours}.bias"

    def norm(self, layer: str, ours: str) -> None:
        path = self.place(layer)
        self.table[f"{path}/gamma:0"] = f"{ours}.scale"
        self.table[f"{path}/beta:0"] = f"{ours}.offset"

    def conditional_norm(self, layer: str, ours: str, *, pooling: bool) -> None:
        path = self.place(layer)
        if pooling:
            self.table[f"{path}/spatial_average:0"] = f"{ours}.pooling"
        self.dense(f"{path}/dense#", f"{ours}.dense")

    def positions(self, scope: str, ours: str) -> None:
        path = self.place(f"{scope}/position_embed#")
        self.table[f"{path}/position_embedding_0:0"] = f"{ours}.rows"
        self.table[f"{path}/position_embedding_1:0"] = f"{ours}.columns"

    def attention(self, layer: str, ours: str, *, along_columns: bool, modulated: Iterable[str] = ()) -> None:
        path = self.place(layer)
        for short, name in zip("qkv", _ATTENTION, strict=True):
            self.table[f"{path}/{short}/kernel:0"] = f"{ours}.{name}"
            if name in modulated:
                self.table[f"{path}/cond_{short}/kernel:0"] = f"{ours}.modulations.{name}.kernel"
        self.table[f"{path}/output/kernel:0"] = f"{ours}.output"
        axis = 0 if along_columns else 1
        self.table[f"{path}/relative_attention_bias_{axis}:0"] = f"{ours}.relative_bias"

    def mlp(self, ours: str) -> None:
        self.dense("dense#", f"{ours}.mlp_hidden")
        self.dense("dense#", f"{ours}.mlp_output")


def _add_axial_stack(names: _Names, scope: str, ours: str, num_layers: int) -> None:
    """Adds the unconditional row and column layers, in turn, of the release's encoder or of an upsampler."""
    scope = names.place(f"{scope}/factorized_attention#")
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
    column = attention.startswith("mask_col")
    modulated = config.attention_modulated if config.attention_modulation != "none" else ()
    names.attention(f"{scope}/{attention}", f"{layer}.attention", along_columns=column, modulated=modulated)
    names.mlp(layer)
    if config.mlp_modulation != "none":
        kind = "shift" if config.mlp_modulation == "shift" else "affine"
        names.dense(f"{scope}/{kind}_{affine}", f"{layer}.mlp_context")


def _add_decoder_norms(names: _Names, config: ColorizerConfig, scope: str, layer: str) -> None:
    for norm in ("attention_norm", "mlp_norm"):
        if config.conditional_layer_norm == "none":
            names.norm(f"{scope}/layer_normalization#", f"{layer}.{norm}")
        else:
            pooling = config.conditional_layer_norm == "learned"
            names.conditional_norm(f"{scope}/conditional_layer_norm#", f"{layer}.{norm}", pooling=pooling)


def _colorizer_names(config: ColorizerConfig) -> dict[str, str]:
    names, core = _Names(), "col_tran_core"
    names.norm(f"{core}/layer_normalization#", "norm")
    names.dense(f"{core}/dense#", "symbol_embedding", bias=False)
    names.dense(f"{core}/parallel_logits", "parallel_head", bias=False)
    names.dense(f"{core}/auto_logits", "head")
    names.dense(f"{core}/gray_scale_encoder/dense#", "encoder.embedding")
    _add_axial_stack(names, f"{core}/gray_scale_encoder", "encoder.", config.num_encoder_layers)
    outer, inner = f"{core}/outer_decoder", f"{core}/inner_decoder"
    names.positions(outer, "outer_decoder.positions")
    for index in range(2 * config.num_outer_layers):
        block, column = divmod(index, 2)
        attention = f"mask_col_att_{block}" if column else f"unmask_row_att_{block}"
        affine = f"{'c' if column else 'r'}_{block}"
        _add_decoder_layer(names, config, outer, attention, affine, f"outer_decoder.layers.{index}")
    for index in range(2 * config.num_outer_layers):
        _add_decoder_norms(names, config, outer, f"outer_decoder.layers.{index}")
    names.positions(inner, "inner_decoder.positions")
    for index in range(config.num_inner_layers):
        layer = f"inner_decoder.layers.{index}"
        _add_decoder_layer(names, config, inner, f"mask_row_att_{index}", f"c_{index}", layer)
    for index in range(config.num_inner_layers):
        _add_decoder_norms(names, config, inner, f"inner_decoder.layers.{index}")
    return names.table


def expected_names(stage: str, config: NetworkConfig) -> dict[str, str]:
    """Lists {canonical release name: our parameter name} for every parameter of `config`.

    Raises UserError if the release does not have this variant.
    """
    _refuse_unknown_to_release(stage, config)
    if isinstance(config, ColorizerConfig):
        return _colorizer_names(config)
    names = _Names()
    names.dense(f"{stage}/dense#", "channel_embedding", bias=False)
    names.dense(f"{stage}/dense#", "gray_embedding", bias=False)
    names.dense(f"{stage}/dense#", "mix")
    names.dense(f"{stage}/dense#", "head")
    _add_axial_stack(names, stage, "", config.num_layers)
    return names.table


def _refuse_unknown_to_release(stage: str, config: NetworkConfig) -> None:
    if isinstance(config, ColorizerConfig):
        fields = {
            "attention_modulation": config.attention_modulation not in ("scale", "gated"),
            "mlp_modulation": config.mlp_modulation not in ("scale", "gated"),
            "context": config.context == "pointwise",
        }
    else:
        levels = 8 if stage == "color_upsampler" else 256
        fields = {"grayscale": config.grayscale, "num_input_levels": config.num_input_levels == levels}
    for field, known in fields.items():
        if not known:
            raise UserError(f"the public release has no {stage} with {field} {getattr(config, field)!r}")


def fixed_names(config: NetworkConfig, expected: Iterable[str]) -> dict[str, tuple[tuple[int, ...], float]]:
    """Lists {canonical name: (shape, value)} of the untrained gamma = 1 and beta = 0 of conditional layer norms."""
    norms = sorted({name.partition("/dense#")[0] for name in expected if _IN_NORM.search(name)})
    shape = (config.hidden_size,)
    return {f"{norm}/{name}": (shape, value) for norm in norms for name, value in _FIXED.items()}


def is_fixed(name: str) -> bool:
    """Tells whether a release variable is the untrained gamma = 1 or beta = 0 of a conditional layer norm."""
    return name.endswith(tuple(_FIXED))


def release_names(canonical: Iterable[str]) -> dict[str, str]:
    """Makes {canonical name: name in a fresh process of the release} from `expected_names` in its order."""
    numbers: dict[str, str] = {}  # canonical path of a numbered part -> that part with its number
    counts: dict[str, int] = defaultdict(int)
    names = {}
    for name in canonical:
        parts, real = name.split("/"), []
        for index, part in enumerate(parts):
            path, match = "/".join(parts[: index + 1]), _RANKED.match(part)
            if match and path not in numbers:
                numbers[path] = f"{match[1]}_{counts[match[1]]}" if counts[match[1]] else match[1]
                counts[match[1]] += 1
            real.append(numbers.get(path, part))
        names[name] = "/".join(real)
    return names


def spoken_name(canonical: str, found: Mapping[str, str]) -> str:
    """Returns a canonical name as users know it, numbered as its neighbors in `found` {canonical: name}."""
    parts = canonical.split("/")
    best: list[str] = []
    for other, name in found.items():
        pairs = zip(parts, other.split("/"), strict=False)
        shared = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
        if shared > len(best):
            best = name.split("/")[:shared]
    rest = "/".join([*best, *parts[len(best) :]])
    return re.sub(r"#(\d+)", lambda match: "" if match[1] == "0" else f"_{match[1]}", rest)


def from_release(stage: str, config: NetworkConfig, variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turns the release's variables {name: array} into our parameters {name: float32 array}.

    Raises:
      UserError: a variable is missing, left over or of another shape, or a fixed gamma or beta is not 1 or 0. The
        error uses the names in `variables`.
    """
    found = {canonical: name for name, canonical in canonical_names(variables).items()}
    expected = expected_names(stage, config)
    fixed = fixed_names(config, expected)
    missing = [spoken_name(name, found) for name in (*expected, *fixed) if name not in found]
    extra = [name for canonical, name in found.items() if canonical not in expected and canonical not in fixed]
    if missing or extra:
        told = [f"{what} {_listed(names)}" for what, names in (("missing", missing), ("left over", extra)) if names]
        raise UserError(f"the variables do not make a {stage}: {'; '.join(told)}")
    wanted = parameters.shapes(config)
    for name, ours in expected.items():
        _check_shape(found[name], variables[found[name]], _release_shape(ours, wanted[ours]))
    for name, (shape, value) in fixed.items():
        array = variables[found[name]]
        _check_shape(found[name], array, shape)
        if not np.array_equal(array, np.full(shape, value, array.dtype)):
            raise UserError(f"variable {found[name]} must be {value:g} everywhere: the networks do not use it")
    arrays = {ours: np.asarray(variables[found[name]], np.float32) for name, ours in expected.items()}
    return {ours: array.reshape(wanted[ours]) for ours, array in arrays.items()}


def to_release(stage: str, config: NetworkConfig, flat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turns our parameters {name: array} back into trained variables {name: float32 array}; see `from_release`."""
    expected = expected_names(stage, config)
    names = release_names(expected)
    return {
        names[canonical]: np.asarray(flat[ours], np.float32).reshape(_release_shape(ours, flat[ours].shape))
        for canonical, ours in expected.items()
    }


def fixed_variables(stage: str, config: NetworkConfig) -> dict[str, np.ndarray]:
    """Makes the untrained variables {name: float32 array}, gamma 1 and beta 0 of each conditional layer norm."""
    expected = expected_names(stage, config)
    fixed = fixed_names(config, expected)
    names = release_names([*expected, *fixed])
    return {names[canonical]: np.full(shape, value, np.float32) for canonical, (shape, value) in fixed.items()}


def _release_shape(ours: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    # The release stores one pooling weight per pixel, as [1,H,W,1].
    return (1, *shape, 1) if ours.endswith(".pooling") else tuple(shape)


def _check_shape(name: str, array: np.ndarray, want: tuple[int, ...]) -> None:
    if tuple(array.shape) != want:
        raise UserError(f"variable {name} must have shape {list(want)}, got {list(array.shape)}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more
