"""What engines report of a failed job, in their own words, becomes one line."""

import pytest
from apache_beam.typehints.decorators import TypeCheckError

from coltran.errors import UserError
from pipelines.beam import mistakes

TRACEBACK = """Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1505, in apache_beam.runners.common.DoFnRunner.process
  File "x.py", line 3, in process
    raise KeyError("rgb")
{} [while running 'Make-ptransform-56']
"""


@pytest.mark.parametrize(
    ("reported", "line"),
    [
        ("Pipeline job-1 failed in state CANCELLED: unknown error", "CANCELLED, the engine gives no reason;"),
        ("Pipeline job-1 failed in state FAILED: no slots\n  for 3 tasks", "FAILED, no slots for 3 tasks;"),
        (f"Pipeline job-1 failed in state FAILED: {TRACEBACK.format('KeyError: 7')}", "a worker raised KeyError: 7;"),
        ("Dataflow pipeline failed. State: FAILED, Error:\nWorkflow failed. Causes: quota", "FAILED, Workflow failed."),
        ("Dataflow pipeline failed. State: FAILED, Error:\nNone", "FAILED, the engine gives no reason;"),
        ("... Root cause: SDK harness disconnected. ...", "a worker died in the middle of its work"),
        ("... The worker lost contact with the service. ...", "a worker died in the middle of its work"),
    ],
)
def test_a_failed_job(reported, line):
    found = str(mistakes.to_user_error(RuntimeError(reported), runner="SomeRunner", job_id="job-1"))
    assert found.startswith(f"job job-1 failed on SomeRunner: {line}")
    assert found.endswith("; the same command goes on with what is missing")
    assert "\n" not in found


def test_a_users_mistake_keeps_its_words_from_any_engine():
    text = f"Pipeline job-1 failed in state FAILED: {TRACEBACK.format('coltran.errors.UserError: a.jpg: is damaged')}"
    found = mistakes.to_user_error(RuntimeError(text), runner="SomeRunner", job_id="job-1")
    assert str(found) == "a.jpg: is damaged"


def test_a_mistake_of_ours_keeps_its_traceback():
    assert mistakes.to_user_error(KeyError("rgb"), runner="FnApiRunner") is None
    assert mistakes.to_user_error(TypeCheckError("a step of ours"), runner="FnApiRunner") is None
    assert mistakes.to_user_error(KeyError("rgb"), runner="SomeRunner", job_id="job-1") is None


def test_a_folder_that_workers_do_not_see(tmp_path):
    (tmp_path / "plan.json").touch()
    for name, told in (("plan.json", True), ("other.json", False)):  # the second is missing here, too
        error = UserError(f"{tmp_path / name}: cannot be read: No such file or directory")
        found = str(mistakes.to_user_error(error, runner="FlinkRunner", job_id="job-1"))
        assert found.endswith("workers must see this folder (shared storage, or gs://)") is told
        assert str(mistakes.to_user_error(error, runner="FnApiRunner")) == str(error)
