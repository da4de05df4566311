"""Compiles networks to programs, once per shape and machine. They are called with NumPy or JAX arrays.

The disk keeps compiled programs between runs, so that only the first run on a machine waits for the compiler.
"""

import functools
import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from coltran import local_copies
from coltran.networks.upsampler import Upsampler

_WORTH_KEEPING = 1.0  # keep programs whose compilation took this many seconds


class Program:
    """A network and a `function(network, *args)`, which is compiled once per shape of the arguments."""

    def __init__(self, network: nnx.Module, function: Callable):
        keep_on_disk()
        graphdef, self._parameters = nnx.split(network, nnx.Param)
        self._call = jax.jit(lambda parameters, *args: function(nnx.merge(graphdef, parameters), *args))

    def __call__(self, *args: Any) -> Any:
        return self._call(self._parameters, *args)

    def prepare(self, *args: Any) -> Any:
        """Compiles for arrays or shapes like `args`, but does not run. Returns the shapes of the result."""
        lowered = self._call.lower(self._parameters, *args)
        lowered.compile()
        return lowered.out_info


def images_at_once(batch_size: int) -> int:
    """Returns how many images a program without a loop over pixels takes, `batch_size` or on a CPU one.

    The data of one image stays in the processor's cache, so this is faster, and no padding is ever computed.
    """
    return 1 if jax.default_backend() == "cpu" else batch_size


class UpsamplerProgram:
    """Computes an upsampler's most likely images at one compiled batch size. It pads the last batch."""

    def __init__(self, network: Upsampler, *, batch_size: int):
        self._batch_size = images_at_once(batch_size)
        self._program = Program(network, Upsampler.argmax)

    def __call__(self, levels_NHW3: np.ndarray, gray_NHW: np.ndarray) -> np.ndarray:
        """Computes the images, int32 levels [N,H,W,3] and int32 gray [N,H,W] -> uint8 [N,H,W,3]."""
        made = [self._program(*chunk) for chunk in chunks(self._batch_size, levels_NHW3, gray_NHW)]
        return np.concatenate(jax.device_get(made))[: len(levels_NHW3)]


@functools.cache
def keep_on_disk() -> None:
    """Keeps compiled programs in ~/.cache/coltran or in JAX_COMPILATION_CACHE_DIR. An empty variable turns this off."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = os.path.join(local_copies.cache_folder(), "compiled", _machine())
        jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)


def _machine() -> str:
    """Names the processor's instruction set. Homes are shared, and a program for another set may not run here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    return f"{platform.machine()}-{hashlib.sha256(flags.encode()).hexdigest()[:12]}"


def pad(array: np.ndarray, length: int) -> np.ndarray:
    """Lengthens an array [N, ...] to [length, ...] by repeating its last row."""
    return np.concatenate([array, array[-1:].repeat(length - len(array), axis=0)])


def chunks(size: int, *arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Cuts arrays [N, ...] into chunks [size, ...] and pads the last chunk."""
    for start in range(0, len(arrays[0]), size):
        yield tuple(pad(array[start : start + size], size) for array in arrays)
