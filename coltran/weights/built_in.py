"""The model that ships with this package: packed checkpoints of 32x32 pixels; coltran/model/README.md is its card."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

DESCRIPTION = "built in, 32x32, trained on 60,000 ImageNet images (coltran/model/README.md)"
_FOLDER = "model"


def folder(stage: str) -> Path:
    """The checkpoint folder of `stage`, one of `coltran.networks.config.STAGES`."""
    return Path(str(importlib.resources.files("coltran"))) / _FOLDER / stage
