"""The command of docs/running-at-scale.md builds the job that the page promises, offline."""

import json
import pathlib
import re
import shlex

import pytest

from coltran import cloud_storage, storage
from pipelines.beam.options import beam_options
from pipelines.shards import job as shard_job, steps
from pipelines.truth import arguments

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def command() -> list[str]:
    text = (ROOT / "docs" / "running-at-scale.md").read_text()
    return shlex.split(re.search(r"```\n(coltran-preprocess .*?)```", text, re.DOTALL)[1].replace("\\\n", ""))


def build(command, *more):
    """The pipeline of the page's command, with more of Beam's flags."""
    import apache_beam as beam

    from pipelines.truth.shard import WriteTruthShard

    options, beam_arguments = arguments.parse(command[1:])
    engine_options = beam_options([*beam_arguments, "--no_auth", *more])
    job = shard_job.ShardJob(
        folder=options.out,
        schema="truth",
        split=options.split,
        sizes=options.sizes,
        features=options.features,
        options={},
        fingerprint="0",
        num_shards=options.num_shards,
    )
    pipeline = beam.Pipeline(options=engine_options)
    last = steps.FinishFolder(job, options.max_reject_fraction, None)
    steps.add_steps(pipeline, WriteTruthShard(job, options), range(options.num_shards), last)
    return pipeline


@pytest.fixture(scope="module")
def submitted(command):
    """The job as Beam would submit it; Beam's own dry run stops right before."""
    return build(command, "--dry_run=True").run().job


def test_its_steps(submitted):
    steps_by_name = {
        step.unique_name: step.spec.urn for step in submitted.proto_pipeline.components.transforms.values()
    }
    assert steps_by_name["Spread"] == "beam:transform:reshuffle:v1"
    assert steps_by_name["Make"] == "beam:transform:pardo:v1"
    grouped = sorted(name for name, urn in steps_by_name.items() if "group_by_key" in urn)
    assert len(grouped) == 2  # of shard numbers, and of their count: no image is ever shuffled
    assert grouped[0] == "Spread/ReshufflePerKey/GroupByKey"
    assert grouped[1].startswith("Wait for all/CombineGlobally")
    assert steps_by_name["Finish"] == "beam:transform:pardo:v1"


def test_its_worker_image_is_the_one_of_the_page(submitted, command):
    image = next(word.partition("=")[2] for word in command if word.startswith("--sdk_container_image="))
    environments = submitted.proto_pipeline.components.environments.values()
    assert [environment.urn for environment in environments] == ["beam:env:docker:v1"]
    assert all(image in environment.payload.decode() for environment in environments)


def test_its_machines(command, bucket):
    """In the job's description, which Beam writes to a bucket when it is asked for a template."""
    cloud_storage.client().create_bucket("my-bucket")
    build(command, "--template_location=gs://my-bucket/templates/job.json").run()
    job = json.loads(storage.read_bytes("gs://my-bucket/templates/job.json"))
    pool = job["environment"]["workerPools"][0]
    asked = dict(word.removeprefix("--").split("=", 1) for word in command if word.startswith("--"))
    assert pool["machineType"] == asked["machine_type"]
    assert pool["autoscalingSettings"]["maxNumWorkers"] == int(asked["max_num_workers"])
    assert pool["sdkHarnessContainerImages"][0]["containerImage"] == asked["sdk_container_image"]


def test_the_worker_step_runs_what_it_was_given(submitted):
    """What a worker unpickles is the DoFn with the job's own folder: no name of this test, no main session."""
    from apache_beam.internal import pickler

    components = submitted.proto_pipeline.components
    make = next(step for step in components.transforms.values() if step.unique_name == "Make")
    from apache_beam.portability.api import beam_runner_api_pb2

    payload = beam_runner_api_pb2.ParDoPayload.FromString(make.spec.payload)
    function = pickler.loads(payload.do_fn.payload)[0]
    assert type(function).__name__ == "WriteTruthShard"
    assert function._job.folder == "gs://my-bucket/records/train"
