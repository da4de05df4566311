"""Finds the model that ships with this package, as packed checkpoints for 32x32 pixels. See coltran/model/README.md."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

DESCRIPTION = "built in, 32x32, trained on 60,000 ImageNet images (coltran/model/README.md)"
_FOLDER = "model"


def folder(stage: str) -> Path:
    """Returns the checkpoint folder of `stage`, which is one of `coltran.networks.config.STAGES`."""
    return Path(str(importlib.resources.files("coltran"))) / _FOLDER / stage
