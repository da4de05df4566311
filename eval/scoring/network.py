"""The extractor's network: loaded once a process, and used by one thread at a time."""

from __future__ import annotations

import functools
import threading

from eval.features.extractors import Extractor, load_extractor
from eval.scoring.arguments import Options

# One network and one batch in it at a time for all threads of a process: TensorFlow uses every core by itself, and a
# second batch would only double the memory.
in_use = threading.Lock()


@functools.lru_cache(maxsize=1)
def _load(name: str, weights: str | None, resize: str, seed: int, framework: str | None) -> Extractor:
    return load_extractor(name, weights, resize, seed=seed, framework=framework)


def shared_extractor(options: Options) -> Extractor:
    """Returns the extractor of the options, which is loaded once a process. Raises as `load_extractor`."""
    with in_use:
        return _load(options.extractor, options.weights, options.resize, options.weights_seed, options.framework)
