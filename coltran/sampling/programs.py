"""Networks as compiled programs: compiled once per shape and machine, and called with NumPy or JAX arrays.

Compiled programs are kept on disk between runs, so that only the first run on a machine waits for the compiler.
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

from coltran.networks.upsampler import Upsampler

_WORTH_KEEPING = 1.0  # seconds of compilation


class Program:
    """A network and a function of it, `function(network, *args)`, compiled once per shape of the arguments."""

    def __init__(self, network: nnx.Module, function: Callable):
        keep_on_disk()
        graphdef, self._parameters = nnx.split(network, nnx.Param)
        self._call = jax.jit(lambda parameters, *args: function(nnx.merge(graphdef, parameters), *args))

    def __call__(self, *args: Any) -> Any:
        return self._call(self._parameters, *args)

    def prepare(self, *args: Any) -> Any:
        """Compiles for arrays, or shapes, like `args` without running. Returns the shapes of the result."""
        lowered = self._call.lower(self._parameters, *args)
        lowered.compile()
        return lowered.out_info


def images_at_once(batch_size: int) -> int:
    """How many images a program without a loop over pixels takes: `batch_size`, or one on a CPU.

    What one image needs stays in the processor's cache; so it is faster, and no padding is ever computed.
    """
    return 1 if jax.default_backend() == "cpu" else batch_size


class UpsamplerProgram:
    """An upsampler's most likely images, at one compiled batch size; the last batch is padded."""

    def __init__(self, network: Upsampler, *, batch_size: int):
        self._batch_size = images_at_once(batch_size)
        self._program = Program(network, Upsampler.argmax)

    def __call__(self, levels_NHW3: np.ndarray, gray_NHW: np.ndarray) -> np.ndarray:
        """int32 levels [N,H,W,3] and int32 gray [N,H,W] -> uint8 [N,H,W,3]."""
        made = [self._program(*chunk) for chunk in chunks(self._batch_size, levels_NHW3, gray_NHW)]
        return np.concatenate(jax.device_get(made))[: len(levels_NHW3)]


@functools.cache
def keep_on_disk() -> None:
    """Keeps compiled programs in ~/.cache/coltran, or where JAX_COMPILATION_CACHE_DIR says; empty turns that off."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(base / "coltran" / "compiled" / _machine()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)


def _machine() -> str:
    """Names the processor's instruction set: a program for another one may not run here (homes are shared)."""
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
    """Cuts arrays [N, ...] into chunks [size, ...], of which the last one is padded."""
    for start in range(0, len(arrays[0]), size):
        yield tuple(pad(array[start : start + size], size) for array in arrays)
