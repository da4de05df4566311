"""Imports TensorFlow without the lines that its import writes."""

from __future__ import annotations

import os
from types import ModuleType


def import_tensorflow() -> ModuleType:
    """Imports tensorflow and hides the lines that its import writes even if TF_CPP_MIN_LOG_LEVEL forbids them."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        import tensorflow

        tensorflow.constant(0)  # the first use looks for devices, and writes more of these lines
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
    return tensorflow
