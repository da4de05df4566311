"""The wheel holds every module and data file of the packages, and each module can be imported from it alone."""

import json
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.test_rooms import COMMANDS, MODULES, PACKAGES, ROOT

# Prints where each module comes from.
IMPORT_ALL = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """The wheel, unpacked; built from a copy, so that no earlier build/ fills a gap."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", "built", "."], check=True, cwd=source)
    (built,) = (source / "built").glob("*.whl")
    folder = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(built).extractall(folder)
    return folder


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    def files(root: pathlib.Path) -> set[str]:
        found = (path for package in PACKAGES for path in (root / package).rglob("*") if path.is_file())
        return {str(path.relative_to(root)) for path in found if "__pycache__" not in path.parts}

    assert files(wheel) == files(ROOT)


@pytest.mark.slow  # TensorFlow, JAX and Beam in one process: 20 s
def test_every_module_can_be_imported_from_the_wheel(wheel, tmp_path):
    environment = {"PYTHONPATH": str(wheel), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", IMPORT_ALL, *sorted(MODULES)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    places = json.loads(done.stdout.splitlines()[-1])
    elsewhere = {name: place for name, place in places.items() if not place.startswith(f"{wheel}/")}
    assert not elsewhere


@pytest.mark.slow  # three samples of a photo, with the compiler: half a minute
def test_a_photo_is_colored_by_the_wheel_alone(wheel, tmp_path):
    """With the model that ships in it, in another folder, without any flag but the photo and where to."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)).save(tmp_path / "photo.png")
    environment = {"PYTHONPATH": str(wheel), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "coltran.colorize", "photo.png", "--samples=3", "--out=colored"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "built in" in done.stdout
    samples = [np.asarray(Image.open(tmp_path / "colored" / f"photo_sample{index}.png")) for index in range(3)]
    assert {image.shape for image in samples} == {(60, 90, 3)}
    assert all((image.max(axis=-1) > image.min(axis=-1)).mean() > 0.2 for image in samples)  # there is color
    assert (samples[0] != samples[1]).any()


@pytest.mark.slow  # seven programs
@pytest.mark.parametrize(("command", "module"), sorted(COMMANDS.items()))
def test_every_command_of_the_wheel_explains_itself(wheel, tmp_path, command, module):
    environment = {"PYTHONPATH": str(wheel), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert f"usage: {command}" in done.stdout
