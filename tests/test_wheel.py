"""The wheel holds every module and data file of the packages, and each module can be imported from it alone."""

import json
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.test_rooms import MODULES, PACKAGES, ROOT

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
