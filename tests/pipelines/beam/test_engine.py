"""Beam's flags are checked, and a worker's UserError comes out as its one line in every local mode."""

import apache_beam as beam
import pytest

from coltran.errors import UserError
from pipelines.beam import engine, options as beam_options


def refuse(element):
    raise UserError(f"record {element} is bad; repair it")


@pytest.mark.parametrize("flags", [[], ["--direct_num_workers=1"], ["--direct_running_mode=multi_processing"]])
def test_a_workers_user_error_keeps_its_words(flags):
    with pytest.raises(UserError) as raised:
        engine.run_pipeline(lambda p: p | beam.Create([7]) | beam.Map(refuse), beam_options.beam_options(flags))
    assert str(raised.value) == "record 7 is bad; repair it"


def test_other_errors_keep_their_traceback():
    with pytest.raises(Exception, match="division"):
        engine.run_pipeline(lambda p: p | beam.Create([0]) | beam.Map(lambda x: 1 / x), beam_options.beam_options([]))


def test_the_local_engine_is_named_and_beams_flags_pass():
    options = beam_options.beam_options([]).get_all_options(drop_default=True)
    assert options["runner"] == "FnApiRunner"
    cluster = ["--runner=FlinkRunner", "--flink_master=localhost:8081", "--parallelism=4"]
    found = beam_options.beam_options(cluster).get_all_options(drop_default=True)
    assert (found["runner"], found["flink_master"], found["parallelism"]) == ("FlinkRunner", "localhost:8081", 4)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--runer=FlinkRunner", "Did you mean '--runner'?"),
        ("--direct_running_mode=multi_threading", "loses records"),
        ("--experiments=data_buffer_time_limit_ms=100", "loses records"),
        ("--autoscaling_algorithm=SOME", "invalid choice"),
    ],
)
def test_flags_that_are_wrong_or_lose_records_are_refused(flag, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        beam_options.beam_options([flag])
