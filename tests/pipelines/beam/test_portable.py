"""A job on Beam's portable engines, whose workers are processes in another folder."""

import time

import apache_beam as beam
import pytest

from coltran.errors import UserError
from pipelines import preprocess
from pipelines.beam import engine as beam_engine, options as beam_options, submitted
from tests.pipelines.beam import servers
from tests.pipelines.test_preprocess import contents

pytestmark = pytest.mark.slow
SMALL = ["--hi=32", "--lo=16", "--num_shards=3"]


def test_preprocess_gives_the_local_runners_bytes(portable, photo_folder, truth_folder, tmp_path, capsys):
    arguments = ["--source", str(photo_folder), "--out", str(tmp_path / "train"), *SMALL]
    retries = ["--number_of_execution_retries", "3"]  # a job server may know it, Beam does not
    assert preprocess.main([*arguments, *portable.flags, *retries]) == 0
    captured = capsys.readouterr()
    assert "12 read = 12 written + 0 rejected" in captured.out
    assert "--number_of_execution_retries: neither Beam nor the job server knows it" in captured.err
    assert contents(tmp_path / "train") == contents(truth_folder)


def refuse(element):
    raise UserError(f"record {element} is bad; repair it")


def divide(element):
    return 1 / element


def run(step, flags, elements=(0,), **more):
    options = beam_options.beam_options(flags)
    return beam_engine.run_pipeline(lambda p: p | beam.Create(elements) | beam.Map(step), options, **more)


def test_what_a_worker_raises_is_one_line(portable):
    loopback = [*portable.without_workers, "--environment_type=LOOPBACK"]  # the functions above stand in no package
    with pytest.raises(UserError) as raised:
        run(refuse, loopback)
    assert str(raised.value) == "record 0 is bad; repair it"
    with pytest.raises(UserError) as raised:
        run(divide, loopback)
    assert "failed on PortableRunner: a worker raised ZeroDivisionError: division by zero; the same" in str(
        raised.value
    )


def test_a_job_is_submitted_and_asked_for_later(portable):
    ids = []
    place = beam_options.job_place(beam_options.beam_options(portable.flags))
    assert run(time.sleep, [*portable.flags, "--no_wait"], elements=[1.0], submitted=ids.append) is False
    assert submitted.state(ids[0], place) == "running"
    assert submitted.wait(ids[0], place, every=0.1) == "done"
    assert submitted.state("job-of-nobody", place) == "gone"
    assert submitted.state(ids[0], {**place, "job_endpoint": f"localhost:{servers.free_port()}"}) == "unreachable"
