"""Loads the extractor's network once per process, and lets one thread use it at a time."""

from __future__ import annotations

import functools
import os
import sys
import threading

from eval.features.extractors import Extractor, load_extractor
from eval.scoring.arguments import Options

# All threads of a process share one network and one batch at a time. TensorFlow uses every core by itself, so a second
# batch would only double the memory.
in_use = threading.Lock()


@functools.lru_cache(maxsize=1)
def _load(name: str, weights: str | None, resize: str, seed: int, framework: str | None) -> Extractor:
    return load_extractor(name, weights, resize, seed=seed, framework=framework)


def fetch_weights(options: Options) -> None:
    """Fetches Inception's public weights if they are needed and missing, and the user wants that.

    The user says so by --fetch_weights, or as the answer to a question if there is a terminal. Without them the
    extractor says where they are published.

    Raises:
      UserError: they cannot be fetched.
    """
    from eval.features import inception_weights

    path = inception_weights.public_path()
    if options.extractor != "inception" or options.weights is not None or os.path.exists(path):
        return
    if options.fetch_weights or _agreed(inception_weights.PUBLIC_BYTES, path):
        inception_weights.fetch_public()


def _agreed(size: int, path: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"Inception's weights are missing. Fetch {size / 1e6:.0f} MB to {path}? [y/N] ", end="", file=sys.stderr)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def shared_extractor(options: Options) -> Extractor:
    """Returns the extractor of the options. It is loaded once per process, with the same errors as `load_extractor`."""
    with in_use:
        return _load(options.extractor, options.weights, options.resize, options.weights_seed, options.framework)
