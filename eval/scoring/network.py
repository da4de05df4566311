"""Loads the extractor's network once per process, and lets one thread use it at a time."""

from __future__ import annotations

import functools
import threading

from eval.features.extractors import Extractor, load_extractor
from eval.scoring.arguments import Options

# All threads of a process share one network and one batch at a time. TensorFlow uses every core by itself, so a second
# batch would only double the memory.
in_use = threading.Lock()


@functools.lru_cache(maxsize=1)
def _load(name: str, weights: str | None, resize: str, seed: int, framework: str | None) -> Extractor:
    return load_extractor(name, weights, resize, seed=seed, framework=framework)


def shared_extractor(options: Options) -> Extractor:
    """Returns the extractor of the options. It is loaded once per process, with the same errors as `load_extractor`."""
    with in_use:
        return _load(options.extractor, options.weights, options.resize, options.weights_seed, options.framework)
