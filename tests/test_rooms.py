"""The house's rules, read from the source: who may open which door, no circles, light `--help`, no junk drawers."""

import ast
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("coltran", "pipelines", "eval", "human_eval")
# Who may open which door: a room (a package's folder, or a file beside the folders) -> the rooms that its files import,
# lazily or for type checking too; OPEN_TO_ALL need no arrow. The lowest rooms of a package come first.
DOORS = """
coltran.images             ->
coltran.cloud_storage      ->
coltran.storage            -> coltran(cloud_storage)
coltran.local_copies       -> coltran(cloud_storage storage)
coltran.folder_lock        -> coltran(storage)
coltran.quiet_tensorflow   ->
coltran.cli                -> coltran(storage)
coltran.walking            -> coltran(storage)
coltran.file_patterns      -> coltran(storage walking)
coltran.records            -> coltran(storage)
coltran.networks           -> coltran(cli records)
coltran.weights            -> coltran(local_copies networks storage)
coltran.downloads          -> coltran(cli)
coltran.release            -> coltran(cli local_copies networks quiet_tensorflow records storage weights)
coltran.sampling           -> coltran(cli images local_copies networks weights)
coltran.loading            -> coltran(networks release storage weights)
coltran.import_release     -> coltran(cli release training weights)
coltran.photos             -> coltran(cli file_patterns images sampling storage walking weights)
coltran.training           -> coltran(cli folder_lock images networks records sampling storage weights)
coltran.colorize           -> coltran(cli folder_lock images photos release sampling storage walking weights)
coltran.train              -> coltran(cli networks storage training weights)
pipelines.beam             -> coltran(cli storage)
pipelines.sources          -> coltran(cli file_patterns images records storage walking)
pipelines.shards           -> coltran(cli folder_lock records storage)  pipelines(beam)
pipelines.truth            -> coltran(cli images records storage walking)  pipelines(beam shards sources)
pipelines.preprocess       -> coltran(cli images records storage walking)  pipelines(beam shards sources truth)
eval.features              -> coltran(downloads local_copies quiet_tensorflow storage)
eval.distances             -> coltran(storage)  eval(features)
eval.images                -> coltran(images records storage walking)  eval(distances)
eval.scoring               -> coltran(cli folder_lock images records storage)  pipelines(beam shards)
                              eval(distances features images)
eval.sampling              -> coltran(cli images records sampling storage)  pipelines(beam shards)
eval.sample                -> coltran(cli networks records storage weights)  pipelines(beam shards)  eval(sampling)
eval.table2                -> coltran(records storage)  eval(scoring)
eval.fid                   -> coltran(cli folder_lock records storage)  pipelines(beam shards)
                              eval(sample scoring table2)
human_eval.page            ->
human_eval.folder          -> coltran(records)
human_eval.server          -> coltran(storage)  human_eval(folder page)
human_eval.answers         -> human_eval(folder server)
human_eval.design          -> coltran(cli images records storage walking)  pipelines(beam)
                              human_eval(answers folder page)
human_eval.turkle          -> human_eval(answers folder)
human_eval.scoring         -> coltran(cli)  human_eval(answers folder)
human_eval.simulation      -> coltran(cli)  human_eval(answers design folder server)
human_eval.commands        -> coltran(cli)  pipelines(beam)
                              human_eval(answers design folder page scoring server simulation turkle)
human_eval.study           -> coltran(cli)  human_eval(commands folder)
"""
OPEN_TO_ALL = {"coltran.errors", "coltran.options", "coltran.paths"}
JUNK = {"utils", "util", "helpers", "helper", "common", "misc"}
TEXTS = (".md", ".py", ".toml", ".yaml", ".yml", "Dockerfile", "Makefile")
COMMANDS = {
    "coltran-preprocess": "pipelines.preprocess",
    "coltran-import": "coltran.import_release",
    "coltran-train": "coltran.train",
    "coltran-colorize": "coltran.colorize",
    "coltran-sample": "eval.sample",
    "coltran-fid": "eval.fid",
    "coltran-study": "human_eval.study",
}


def module_of(path: pathlib.Path) -> str:
    """`coltran.images.colors` of coltran/images/colors.py, `coltran.images` of its __init__."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def imported(path: pathlib.Path) -> set[str]:
    """Our modules that a file imports, wherever in it; of `import_module(f"room.{name}")` all modules of the room."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            start = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(start, ast.Constant):
                found |= {name for name in MODULES if name.startswith(start.value)}
    assert not {name for name in found - set(MODULES) if name.split(".")[0] in PACKAGES}, f"{path}: no such module"
    return found & set(MODULES)


IMPORTS = {module: imported(path) - {module} for module, path in MODULES.items()}


def declared_doors() -> dict[str, set[str]]:
    doors = {}
    for line in re.sub(r"\n +", " ", DOORS.strip()).splitlines():
        room, _, others = line.partition("->")
        named = re.findall(r"(\w+)\(([^)]*)\)", others)
        doors[room.strip()] = {f"{package}.{name}" for package, names in named for name in names.split()}
    return doors


def circle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """The way around one circle, its first name again at the end; empty where there is none."""
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node not in done:
            for other in sorted(arrows.get(node, ())):
                if found := walk(other, [*way, node]):
                    return found
            done.add(node)
        return []

    return next((found for node in sorted(arrows) if (found := walk(node, []))), [])


def arrows_between(name_of: Callable[[str], str]) -> dict[str, set[str]]:
    """By file's group (`name_of` its module), the other groups that its files import."""
    arrows: dict[str, set[str]] = {name_of(module): set() for module in IMPORTS}
    for module, others in IMPORTS.items():
        arrows[name_of(module)] |= {name_of(other) for other in others} - {name_of(module)}
    return arrows


def test_the_architecture_page_tells_the_same_doors():
    rows = re.findall(r"^\| `(\w+)/(\w+)/` \| .* \| (.*) \| `(.*)` \|$", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    told = {}
    for package, room, names, begin in rows:
        assert (ROOT / package / room / begin).exists()
        named = [] if names == "nothing" else names.split()
        told[f"{package}.{room}"] = {name.replace("/", ".") if "/" in name else f"{package}.{name}" for name in named}
    rooms = {room for room in declared_doors() if (ROOT / room.replace(".", "/")).is_dir()}
    assert told == {room: declared_doors()[room] for room in rooms}


def test_every_import_goes_through_a_declared_door():
    doors = declared_doors()
    wrong = [
        f"{MODULES[module].relative_to(ROOT)} imports {other}: no door from {room_of(module)} to {room_of(other)}"
        for module, others in IMPORTS.items()
        for other in sorted(others)
        if room_of(other) not in {room_of(module), *OPEN_TO_ALL, *doors.get(room_of(module), ())}
    ]
    assert not wrong, "\n".join(wrong)


def test_every_declared_door_is_used_and_every_room_declared():
    arrows = arrows_between(room_of)
    used = {room: others - OPEN_TO_ALL for room, others in arrows.items()}
    doors = declared_doors()
    assert set(doors) == set(used) - set(PACKAGES) - OPEN_TO_ALL
    unused = [f"{room} -> {other}" for room, others in doors.items() for other in sorted(others - used[room])]
    assert not unused, f"declared in DOORS, but nothing goes through: {', '.join(unused)}"


@pytest.mark.parametrize(
    "name_of",
    [lambda module: module, room_of, lambda module: module.split(".")[0]],
    ids=["files", "rooms", "packages"],
)
def test_imports_go_round_in_no_circle(name_of):
    assert not circle(arrows_between(name_of)), " -> ".join(circle(arrows_between(name_of)))


def test_no_file_repeats_the_name_of_its_room_or_package():
    stutters = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        *above, name = module_of(path).split(".")
        around = {word.removesuffix("s") for folder in above for word in folder.split("_")}
        beside = path.name != "__init__.py" and path.with_suffix("").is_dir()  # page.py beside page/
        if beside or any(word in name for word in around):
            stutters.append(str(path.relative_to(ROOT)))
    assert not stutters


def test_a_room_has_files_and_no_further_rooms():
    assert max(module.count(".") for module in MODULES) == 2
    folders = {path.parent for path in MODULES.values()}
    assert all((folder / "__init__.py").exists() for folder in folders)


@pytest.mark.parametrize("package", [module for module, path in MODULES.items() if path.name == "__init__.py"])
def test_importing_a_package_or_room_imports_nothing(package):
    text = MODULES[package].read_text()
    assert [type(statement) for statement in ast.parse(text).body] == [ast.Expr]
    assert text.count("\n") == 1


def test_a_program_starts_at_the_end_of_its_file():
    """What stands below `if __name__ == "__main__"` is not there yet for `python -m`."""
    for path in MODULES.values():
        starts = [
            isinstance(one, ast.If) and "__main__" in ast.unparse(one) for one in ast.parse(path.read_text()).body
        ]
        assert not any(starts[:-1]), path


def test_no_junk_drawers():
    names = [path.stem for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")]
    assert not JUNK & set(names)
    assert not JUNK & {path.parent.name for path in MODULES.values()}
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_tests_mirror_the_rooms():
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    unknown = [str(folder) for folder in folders if not (ROOT / folder).is_dir()]
    assert not unknown, f"tests/ has folders that are no room: {unknown}"


def test_paths_in_texts_exist():
    """Each path/to/file of ours that a text or docstring names is there; in Markdown, `test_x.py` alone too."""
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT).stdout.split()
    texts = [name for name in tracked if name.endswith(TEXTS)] or ["README.md"]  # no git: an unpacked archive
    folders = "|".join((*PACKAGES, "tests", "benchmarks", "docs"))
    place = re.compile(rf"(?<![\w/.-])(?:{folders})/[\w/.-]*\.(?:py|md|js|css|html|json|png)\b")
    known = {pathlib.Path(name).name for name in tracked}
    wrong = []
    for name in texts:
        if not (ROOT / name).exists():
            continue
        text = (ROOT / name).read_text()
        wrong += [f"{name}: {found}" for found in place.findall(text) if not (ROOT / found).exists()]
        if name.endswith(".md"):
            wrong += [f"{name}: {found}" for found in re.findall(r"`(\w+\.py)`", text) if found not in known]
    assert not wrong, "\n".join(wrong)


def test_imports_in_strings_exist():
    """Programs that tests start, and examples in docstrings, import modules that are there."""
    place = re.compile(rf"from ((?:{'|'.join(PACKAGES)})[\w.]*) import ([\w, ]+)")
    wrong = []
    for path in (path for folder in (*PACKAGES, "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            for module, names in place.findall(text):
                if module not in MODULES:
                    wrong.append(f"{path.relative_to(ROOT)}: {module}")
                elif MODULES[module].name == "__init__.py":  # imports nothing, so that only modules can be meant
                    found = [name.split()[0] for name in names.split(",") if name.strip()]
                    wrong += [
                        f"{path.relative_to(ROOT)}: {module}.{n}" for n in found if f"{module}.{n}" not in MODULES
                    ]
    assert not wrong, "\n".join(wrong)


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


@pytest.mark.parametrize("module", ["coltran.records.folder", "coltran.records.schema", "coltran.images.decoding"])
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
