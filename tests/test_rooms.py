"""The house's rules, read from the source: who may open which door, light `--help`, no junk drawers."""

import ast
import json
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("coltran", "pipelines", "eval", "human_eval")
# What a package may import of the others: a name ending in "." allows everything below it.
DOORS = {
    "coltran": ("coltran.",),
    "pipelines": (
        "pipelines.",
        *(
            "coltran.cli",
            "coltran.colors",
            "coltran.contact_sheet",
            "coltran.errors",
            "coltran.file_patterns",
            "coltran.images",
            "coltran.partition",
            "coltran.pixel_codec",
        ),
        *("coltran.record_folder", "coltran.records", "coltran.storage", "coltran.tfrecord"),
    ),
    "eval": ("eval.", "coltran.", "pipelines."),
    "human_eval": (
        "human_eval.",
        *("coltran.cli", "coltran.errors", "coltran.partition", "coltran.record_folder", "coltran.records"),
        *("coltran.storage", "pipelines.beam_options", "pipelines.engine", "pipelines.reading"),
    ),
}
COMMANDS = {
    "coltran-preprocess": "pipelines.preprocess",
    "coltran-import": "coltran.import_release",
    "coltran-train": "coltran.train",
    "coltran-colorize": "coltran.colorize",
    "coltran-sample": "eval.sample",
    "coltran-fid": "eval.fid",
    "coltran-study": "human_eval.study",
}


def imported(path: pathlib.Path) -> set[str]:
    """Modules of our packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                module = pathlib.Path(*node.module.split("."), alias.name)
                is_module = (ROOT / module).with_suffix(".py").exists()
                found.add(".".join(module.parts) if is_module else node.module)
    return {name for name in found if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES)
def test_doors(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            allowed = any(name.startswith(door) if door.endswith(".") else name == door for door in DOORS[package])
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_nothing(package):
    statements = ast.parse((ROOT / package / "__init__.py").read_text()).body
    assert [type(statement) for statement in statements] == [ast.Expr]


def test_no_junk_drawers():
    names = [path.stem for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")]
    assert not {"utils", "util", "helpers", "helper", "common", "misc"} & set(names)
    assert not list((ROOT / "tests").rglob("__init__.py"))


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_light_and_teaches(command):
    code = (
        "import importlib, json, sys\n"
        "try:\n    importlib.import_module(sys.argv[1]).main(['--help'])\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = run_python(code, COMMANDS[command])
    assert done.returncode == 0, done.stderr
    *text, modules = done.stdout.splitlines()
    assert f"usage: {command}" in text[0]
    assert any(line.strip().startswith(f"{command} ") for line in text), "the help shows no example"
    heavy = ("apache_beam", "tensorflow", "jax", "flax", "matplotlib")
    assert not set(heavy) & set(json.loads(modules))


@pytest.mark.parametrize("module", ["coltran.record_folder", "coltran.records", "coltran.images"])
def test_reading_records_loads_no_framework(module):
    done = run_python(f"import {module}, sys; print(*{{name.split('.')[0] for name in sys.modules}})")
    assert not {"apache_beam", "tensorflow", "jax"} & set(done.stdout.split())


def test_commands_are_those_of_setup():
    scripts = dict(re.findall(r'"(coltran-\w+)=([\w.]+):main"', (ROOT / "setup.py").read_text()))
    assert scripts == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_flag_gets_one_line(command):
    module = COMMANDS[command]
    rest = ["export"] if command == "coltran-study" else []
    done = subprocess.run(
        [sys.executable, "-m", module, *rest, "--no_such_flag=1"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"{command}: ")
    assert done.stderr.count("\n") == 1
