"""Accelerators are asked for where networks run, and nowhere else: in the pipeline that an engine gets."""

import apache_beam as beam
import pytest

from coltran.errors import UserError
from pipelines.beam.hints import take_network_hints
from pipelines.beam.options import beam_options

L4 = "type:nvidia-l4;count:1;install-nvidia-driver"
ACCELERATOR, MIN_RAM, CPUS = (f"beam:resources:{name}:v1" for name in ("accelerator", "min_ram_bytes", "cpu_count"))


def hints_of(*flags: str) -> dict[str, dict[str, bytes]]:
    """{step: its hints} in the portable form of a pipeline of two steps, of which one runs a network."""
    options = beam_options(flags)
    hints = take_network_hints(options)
    pipeline = beam.Pipeline(options=options)
    network = beam.Map(lambda image: image).with_resource_hints(**hints)
    _ = pipeline | "Images" >> beam.Create([1]) | "Network" >> network | "Finish" >> beam.Map(print)
    components = pipeline.to_runner_api().components
    return {
        step.unique_name: dict(components.environments[step.environment_id].resource_hints)
        for step in components.transforms.values()
        if step.unique_name in ("Network", "Finish")
    }


def test_hints_go_to_the_network_alone():
    found = hints_of(f"--resource_hints=accelerator={L4}", "--resource_hints=min_ram=16GB")
    assert found == {"Network": {ACCELERATOR: L4.encode(), MIN_RAM: b"16000000000"}, "Finish": {}}


def test_the_last_one_counts_and_other_hints_stay_with_every_step():
    found = hints_of("--resource_hint=minRam=1GB", "--resource_hint=minRam=2GB", "--resource_hint=cpu_count=4")
    assert found == {"Network": {MIN_RAM: b"2000000000", CPUS: b"4"}, "Finish": {CPUS: b"4"}}


def test_without_hints_nothing_changes():
    assert hints_of() == {"Network": {}, "Finish": {}}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--resource_hints=min_ram=much"], "min_ram=16GB"),
        (["--resource_hints=accelerator"], "accelerator=type:nvidia-l4"),
        (
            [f"--resource_hints=accelerator={L4}", f"--dataflow_service_options=worker_accelerator={L4}"],
            "exclude each other",
        ),
    ],
)
def test_impossible_hints_are_one_line(flags, message):
    with pytest.raises(UserError, match=message) as raised:
        take_network_hints(beam_options(flags))
    assert "\n" not in str(raised.value)


def test_a_job_with_hints_runs_on_this_machine():
    options = beam_options([f"--resource_hints=accelerator={L4}"])
    hints = take_network_hints(options)
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create([1]) | beam.Map(lambda image: image + 1).with_resource_hints(**hints)
