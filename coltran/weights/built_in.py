"""Finds the model that ships with this package, as packed checkpoints for 32x32 pixels. See coltran/model/README.md.

Wherever a command or function takes a checkpoint's folder and knows the stage, it takes the word `built_in` too:

    coltran-sample --records records --colorizer built_in --color_upsampler built_in --out colorized --seed 1
"""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path

from coltran.errors import UserError

NAME = "built_in"
DESCRIPTION = "built in, 32x32, trained on 60,000 ImageNet images (coltran/model/README.md)"
_FOLDER = "model"


def folder(stage: str) -> Path:
    """Returns the checkpoint folder of `stage`, which is one of `coltran.networks.config.STAGES`."""
    return Path(str(importlib.resources.files("coltran"))) / _FOLDER / stage


def resolved(checkpoint: str | Path, stage: str | None) -> str | Path:
    """Returns the folder that a checkpoint's name stands for: the one that ships for `built_in`, else the name itself.

    Raises:
      UserError: the name is `built_in`, and nothing says which of the three networks is meant.
    """
    if os.fspath(checkpoint) != NAME:
        return checkpoint
    if stage is None:
        raise UserError(f"{NAME} means three networks: give a --stage too, or ./{NAME} for a folder of that name")
    return folder(stage)
