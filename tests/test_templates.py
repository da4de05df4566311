"""Flex Template metadata fits Dataflow's own schema, and a template's parameters are flags that the commands take."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings, strategies as st

from coltran.errors import UserError
from eval.sampling import arguments as sample
from eval.scoring import arguments as fid
from pipelines.beam.options import beam_options
from pipelines.truth import arguments as preprocess

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "docker" / "templates"
COMMANDS = {"preprocess": preprocess, "sample": sample, "fid": fid}
# What is typed at a terminal: it starts no job, or waits for one, or mends a folder.
TERMINAL = {"help", "verify", "describe", "dry_run", "repair", "wait", "no_wait"}


def metadata_of(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def parameters() -> list:
    return [
        pytest.param(name, parameter, id=f"{name}-{parameter['name']}")
        for name in COMMANDS
        for parameter in metadata_of(name)["parameters"]
    ]


def actions_of(name: str) -> dict:
    return {action.dest: action for action in COMMANDS[name].parser()._actions}


@pytest.mark.parametrize("name", COMMANDS)
def test_metadata_fits_the_services_own_schema(name):
    """The message of the service's public API that a template's file becomes; it knows no other field."""
    dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3")
    from google.protobuf import json_format

    spec = {"image": "x", "sdkInfo": {"language": "PYTHON"}, "metadata": metadata_of(name)}
    found = json_format.ParseDict(spec, dataflow.types.ContainerSpec.pb(dataflow.types.ContainerSpec())).metadata
    assert found.name == f"coltran-{name}"
    assert found.description
    names = [parameter.name for parameter in found.parameters]
    assert len(set(names)) == len(names)
    for parameter in found.parameters:
        assert re.fullmatch(r"[a-zA-Z][-_.a-zA-Z0-9]+", parameter.name)
        assert parameter.label
        assert parameter.help_text
        for pattern in parameter.regexes:
            re.compile(pattern)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_with_a_value_is_a_parameter(name):
    flags = {dest for dest, action in actions_of(name).items() if action.nargs != 0} - TERMINAL
    found = metadata_of(name)["parameters"]
    of_beam = {"sdk_container_image", "resource_hints"}
    assert {parameter["name"] for parameter in found} - of_beam == flags
    required = {dest for dest, action in actions_of(name).items() if action.required}
    assert {parameter["name"] for parameter in found if not parameter.get("isOptional")} == required


@pytest.mark.parametrize(("name", "parameter"), parameters())
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_what_a_template_lets_through_the_command_takes(name, parameter, data):
    """As the launcher passes it: one `--name=value`."""
    known = actions_of(name).get(parameter["name"])
    if "regexes" in parameter:
        value = data.draw(st.from_regex(parameter["regexes"][0], fullmatch=True, alphabet=st.characters(codec="ascii")))
    else:
        examples = {"bits": "ColTran=2.10", "rows": "ColTran=gs://b/c1", "stages": "colorizer"}
        value = examples.get(parameter["name"], "1")
    argument = f"--{parameter['name']}={value.strip()}"  # `$` also matches before a last newline
    if known is None:
        beam_options([argument])
        return
    parser = COMMANDS[name].parser()
    for action in parser._actions:
        action.required = False
    found, left = parser.parse_known_args([argument])
    assert not left
    assert getattr(found, known.dest) is not None


@pytest.mark.parametrize(("name", "parameter"), parameters())
def test_a_template_lets_every_choice_through(name, parameter):
    known = actions_of(name).get(parameter["name"])
    for choice in (known and known.choices) or ():
        assert re.fullmatch(parameter["regexes"][0], choice)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_local_folder_is_refused_before_a_machine_starts(name):
    patterns = [one["regexes"][0] for one in metadata_of(name)["parameters"] if "FOLDER" in one["paramType"]]
    assert patterns
    assert not any(re.fullmatch(pattern, "records/train") for pattern in patterns)


def test_flags_without_a_value_cannot_be_parameters():
    with pytest.raises(UserError, match="ignored explicit argument"):
        fid.parser().parse_known_args(["--real=gs://b/r", "--out=gs://b/o", "--allow_overlap=true"])


def test_the_files_are_those_that_the_options_give(tmp_path):
    code = (
        "import pathlib, runpy, sys\nmade = runpy.run_path('docker/write_templates.py')\n"
        "for one in made['TEMPLATES']:\n"
        "    text = made['json'].dumps(made['metadata'](one), indent=2) + '\\n'\n"
        "    (pathlib.Path(sys.argv[1]) / one.file).write_text(text)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert made == kept, "run `python docker/write_templates.py`"
