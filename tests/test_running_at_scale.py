"""What docs/running-at-scale.md tells people to type is what commands, Beam and the templates know."""

import json
import pathlib
import re
import shlex
import types

import apache_beam as beam
import pytest

from eval.sampling import arguments as sample
from eval.scoring import arguments as fid, job as scoring_job
from eval.scoring.layout import Layout
from pipelines.beam.hints import take_network_hints
from pipelines.beam.options import beam_options
from pipelines.shards import steps
from pipelines.truth import arguments as preprocess

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "running-at-scale.md").read_text()
PARSERS = {"coltran-preprocess": preprocess.parse, "coltran-sample": sample.parse, "coltran-fid": fid.parse}
HERE = ["--out=here"]  # the last one counts; coltran-fid asks a bucket whether it can be written


def commands() -> list[list[str]]:
    """The page's commands, as a shell would split them."""
    blocks = re.findall(r"^```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("command", [one for one in commands() if one[0] in PARSERS], ids=lambda one: one[0])
def test_the_commands_flags_exist(command):
    _, left = PARSERS[command[0]]([*command[1:], *HERE])
    beam_options(left)


@pytest.mark.parametrize("command", [one for one in commands() if one[0] in ("coltran-sample", "coltran-fid")])
def test_a_gpu_is_asked_for_in_one_way_and_has_one_process(command):
    options = beam_options(PARSERS[command[0]]([*command[1:], *HERE])[1])
    everywhere = [word for word in command if "worker_accelerator=" in word]
    assert bool(take_network_hints(options)) != bool(everywhere)
    assert "--experiments=no_use_multiple_sdk_containers" in command


def with_accelerator(build) -> set[str]:
    """The steps that ask for an accelerator in a job's portable form, if `build(pipeline, hints)` adds the steps."""
    options = beam_options(["--resource_hints=accelerator=type:nvidia-l4;count:1;install-nvidia-driver"])
    hints = take_network_hints(options)
    pipeline = beam.Pipeline(options=options)
    build(pipeline, hints)
    components = pipeline.to_runner_api().components
    return {
        step.unique_name
        for step in components.transforms.values()
        if components.environments[step.environment_id].resource_hints
    }


def test_only_the_steps_that_run_networks_ask_for_accelerators():
    def sampling(pipeline, hints):
        steps.add_steps(pipeline, beam.DoFn(), [[0]], beam.DoFn(), hints)

    def scoring(pipeline, hints):
        options, _ = fid.parse(["--real=gs://b/real", "--fake=gs://b/fake", *HERE])
        scoring_job.build(pipeline, [], options, types.SimpleNamespace(layout=Layout.of(options)), hints)

    assert with_accelerator(sampling) == {"Make"}
    assert with_accelerator(scoring) == {"Features/ParDo(ExtractFeatures)"}


def test_templates_get_parameters_that_they_have():
    words = [one for one in commands() if one[:3] == ["gcloud", "dataflow", "flex-template"]]
    for build, run in zip(words[::2], words[1::2], strict=True):
        file = next(word.partition("=")[2] for word in build if word.startswith("--metadata-file="))
        known = {one["name"]: one for one in json.loads((ROOT / file).read_text())["parameters"]}
        given = [word.partition("=")[2].split(",") for word in run if word.startswith("--parameters=")]
        values = dict(one.split("=", 1) for ones in given for one in ones)
        assert values.keys() <= known.keys()
        assert {name for name, one in known.items() if not one.get("isOptional")} <= values.keys()
        for name, value in values.items():
            assert all(re.fullmatch(pattern, value) for pattern in known[name].get("regexes", []))
        assert build[4] == next(word.partition("=")[2] for word in run if word.startswith("--template-file-gcs"))


def test_images_are_built_from_what_is_there():
    for command in (one for one in commands() if one[:2] == ["docker", "build"]):
        dockerfile = (ROOT / command[command.index("-f") + 1]).read_text()
        if "--target" in command:
            assert f"AS {command[command.index('--target') + 1]}\n" in dockerfile
