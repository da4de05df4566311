"""Compiled programs are kept on disk: a second process compiles nothing again."""

import os
import pathlib
import subprocess
import sys

PROGRAM = """
import jax, numpy as np
from coltran.networks import presets
from coltran.sampling import programs
from coltran.weights import parameters
programs._WORTH_KEEPING = 0.0
network = parameters.build(presets.network_config("color_upsampler", "smoke", height=8, width=8), seed=0)
made = programs.UpsamplerProgram(network, batch_size=2)
image = made(np.zeros((3, 8, 8, 3), np.int32), np.zeros((3, 8, 8), np.int32))
print(image.shape, image.sum())
"""


def run(cache: pathlib.Path) -> tuple[str, set[str]]:
    environment = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(cache)
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout, {path.name for path in cache.rglob("*-cache")}


def test_a_second_process_finds_the_first_one_s_programs(tmp_path):
    first, kept = run(tmp_path)
    assert kept
    assert all("coltran" in path.parts for path in tmp_path.rglob("*-cache"))
    assert run(tmp_path) == (first, kept)
    assert first.startswith("(3, 8, 8, 3)")
