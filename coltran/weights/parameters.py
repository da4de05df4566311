"""Turns a network into a flat dict of parameters by name, such as `encoder.layers.0.attention.query`, and back.

Checkpoints, checksums and the code for the release's weights all use these names. JAX takes seconds to import, so only
the functions that need it do: a folder without a checkpoint is refused before.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from coltran.errors import UserError
from coltran.networks.config import ColorizerConfig, NetworkConfig

if TYPE_CHECKING:
    from flax import nnx

    from coltran.networks.colorizer import Colorizer
    from coltran.networks.upsampler import Upsampler

    Network: TypeAlias = Colorizer | Upsampler


def build(config: NetworkConfig, *, seed: int | None) -> Network:
    """Builds a new, initialized network of `config`. With `seed=None` its parameters are zeros."""
    from coltran.networks.colorizer import Colorizer
    from coltran.networks.initializers import Initializer
    from coltran.networks.upsampler import Upsampler

    init = Initializer(seed)
    return Colorizer(config, init=init) if isinstance(config, ColorizerConfig) else Upsampler(config, init=init)


@functools.lru_cache(maxsize=16)
def abstract(config: NetworkConfig) -> tuple[nnx.GraphDef, nnx.State]:
    """Describes a network by its structure, and its parameters by shapes and dtypes without arrays."""
    from flax import nnx

    return nnx.split(nnx.eval_shape(lambda: build(config, seed=None)), nnx.Param)


def flatten(state: nnx.State) -> dict[str, Any]:
    """Turns the state of a network into {name: array}, sorted by name."""
    from flax import nnx

    flat = {".".join(map(str, path)): leaf.get_value() for path, leaf in nnx.to_flat_state(state)}
    return dict(sorted(flat.items()))


def shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Lists {name: shape} of every parameter of `config`."""
    _, state = abstract(config)
    return {name: tuple(leaf.shape) for name, leaf in flatten(state).items()}


def count(config: NetworkConfig) -> int:
    """Counts the trainable parameters of a network of `config`."""
    return sum(int(np.prod(shape)) for shape in shapes(config).values())


def to_state(config: NetworkConfig, flat: Mapping[str, Any]) -> nnx.State:
    """Turns {name: array} into the state that `nnx.merge` takes.

    Raises:
      UserError: a parameter is missing, left over, or of another shape. The error names the first one.
    """
    import jax.numpy as jnp
    from flax import nnx

    check_names(shapes(config), {name: tuple(array.shape) for name, array in flat.items()})
    state = nnx.to_flat_state(abstract(config)[1])
    return nnx.from_flat_state(
        (path, leaf.replace(jnp.asarray(flat[".".join(map(str, path))]))) for path, leaf in state
    )


def check_names(want: Mapping[str, tuple[int, ...]], have: Mapping[str, tuple[int, ...]]) -> None:
    """Raises a UserError that names the first parameter that is missing, left over or of another shape."""
    for name, shape in want.items():
        if name not in have:
            raise UserError(f"parameter {name} {shape} is missing")
        if have[name] != shape:
            raise UserError(f"parameter {name} must have shape {shape}, got {have[name]}")
    extra = [name for name in have if name not in want]
    if extra:
        raise UserError(f"parameter {extra[0]} {have[extra[0]]} belongs to no part of this network")


def restore(config: NetworkConfig, flat: Mapping[str, Any]) -> Network:
    """Builds the network of `config` with the parameters `flat`. Raises UserError if they do not fit."""
    from flax import nnx

    return nnx.merge(abstract(config)[0], to_state(config, flat))


def checksum(flat: Mapping[str, Any]) -> str:
    """Hashes (sha256) names, shapes, dtypes and bytes of all parameters. Their order does not matter."""
    digest = hashlib.sha256()
    for name in sorted(flat):
        array = np.ascontiguousarray(flat[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def is_colorizer(config: NetworkConfig) -> bool:
    """Tells whether `config` belongs to a colorizer and not to an upsampler."""
    return isinstance(config, ColorizerConfig)


def describe(config: NetworkConfig) -> str:
    """Describes the network's size in one line for people."""
    return f"{count(config):,} parameters, {config.height}x{config.width} pixels"
