"""What a user can cause is refused before libraries are imported that take seconds: Beam, JAX and TensorFlow."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
HEAVY = ("apache_beam", "tensorflow", "jax", "flax", "orbax", "matplotlib", "scipy")
# Each command with a mistake that only a look at files shows, and a word of its message.
MISTAKES = [
    ("pipelines.preprocess", "--source nowhere --out out", "nowhere"),
    ("coltran.train", "--stage colorizer --config smoke --data nowhere --workdir out", "nowhere"),
    ("coltran.train", "--evaluate --data nowhere --checkpoint not_there", "not_there"),
    ("coltran.colorize", "photos --out out --colorizer nowhere", "nowhere"),
    ("coltran.import_release", "--from nowhere --to out", "nowhere"),
    ("eval.sample", "--records nowhere --out out --seed 1 --colorizer built_in", "nowhere"),
    ("eval.sample", "--records records --out out --seed 1 --colorizer built_in", "16x16"),
    ("eval.fid", "--real nowhere --fake photos --out out --extractor random", "nowhere"),
    ("human_eval.study", "design --truth nowhere --colorized photos --out out --seed 1", "nowhere"),
    ("human_eval.study", "score --study nowhere --out out", "nowhere"),
]
# Runs commands one after the other, and prints for each its status, its messages and the heavy libraries so far.
RUN = """
import contextlib, importlib, io, json, sys
for module, arguments in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        status = importlib.import_module(module).main(arguments.split())
    loaded = sorted({name.split('.')[0] for name in sys.modules} & set(json.loads(sys.argv[2])))
    print(json.dumps([status, said.getvalue(), loaded]))
"""


def run_light(commands, folder):
    """The (status, messages, heavy libraries loaded) of each command, run in one process that starts in `folder`."""
    program = [sys.executable, "-c", RUN, json.dumps(commands), json.dumps(HEAVY)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=folder, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with photos, and their finished records."""
    place = tmp_path_factory.mktemp("startup")
    (place / "photos").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "photos" / f"{number}.png")
    command = [sys.executable, "-m", "pipelines.preprocess", "--source", "photos", "--out", "records", "--lo", "8"]
    subprocess.run([*command, "--hi", "32"], check=True, capture_output=True, cwd=place, env={"PYTHONPATH": str(ROOT)})
    return place


def test_mistakes_are_refused_before_heavy_imports(folder):
    """All in one process: the first that imported too much would show in all that follow."""
    found = run_light([case[:2] for case in MISTAKES], folder)
    for (module, arguments, word), (status, said, loaded) in zip(MISTAKES, found, strict=True):
        assert status == 2, f"{module} {arguments}: {said}"
        assert word in said
        assert said.count("\n") == 1, said
        assert not loaded, f"{module} {arguments} has imported {loaded}"


def test_a_finished_folder_and_a_look_at_it_need_no_engine(folder):
    again = "--source photos --out records --lo 8 --hi 32"
    commands = [("pipelines.preprocess", given) for given in (again, "--describe records", "--verify records")]
    for status, said, loaded in run_light(commands, folder):
        assert (status, loaded) == (0, []), said
