"""Loads any of the networks in one call, from this project's checkpoints or from the public release's folders.

from coltran import loading

network = loading.load("runs/colorizer")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coltran import storage
from coltran.errors import UserError

if TYPE_CHECKING:
    from coltran.weights.parameters import Network


def load(folder: str | Path, *, weights: str = "ema", compute_dtype: str = "float32") -> Network:
    """Loads the network of a folder, whatever its stage and format.

    Args:
      folder: a work folder of coltran-train, a checkpoint folder, or a folder or prefix of the public release
        (TensorFlow's format), local or gs://.
      weights: `ema`, the moving average, or `raw`.
      compute_dtype: dtype of activations, whatever the network was trained in.

    Returns:
      A Flax network, a `Colorizer` or an `Upsampler`. Its `config` says which sizes it has.

    Raises:
      UserError: the folder holds neither, or it is damaged.
    """
    from coltran.networks import config as configs
    from coltran.release import conversion, variables
    from coltran.weights import checkpoint, parameters

    configs.refuse_unknown("kind of weights", weights, checkpoint.WEIGHTS)
    folder = str(folder)
    if not _is_release(folder):
        return checkpoint.load_network(folder, weights=weights, compute_dtype=compute_dtype)[0]
    found = variables.read(folder)
    try:
        _, config, flat, _ = conversion.convert(found, weights)
    except UserError as error:
        raise UserError(f"{found.path}: {error}") from None
    return parameters.restore(configs.replace_fields(config, {"compute_dtype": compute_dtype}), flat)


def _is_release(folder: str) -> bool:
    """Tells whether TensorFlow wrote a checkpoint there."""
    if storage.exists(f"{folder}.index"):
        return True
    return any(name.endswith(".index") and ".data-" not in name for name in storage.list_names(folder))
