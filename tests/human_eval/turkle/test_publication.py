"""coltran-study publish against a real Turkle server: everything once, whatever is killed, lost or repeated."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from human_eval import study
from human_eval.folder import layout
from human_eval.turkle import state
from human_eval.turkle.client import Client

TASKS = "/api/batches/N/tasks/"
FORMS = [0, 1, 2]


def publish(folder, address, *more: str) -> int:
    return study.main(["publish", f"--study={folder}", f"--turkle={address}", *more])


def name_of(folder) -> str:
    return f"coltran-study-{layout.load_design(folder).study}"


def batches_of(turkle, folder) -> list[dict]:
    [project] = [one for one in all_projects(turkle) if one["filename"] == f"{name_of(folder)}.html"]
    return [turkle.call(f"batches/{number}/") for number in project["batches"]]


def all_projects(turkle) -> list[dict]:
    found, page = [], 1
    while True:
        part = turkle.call(f"projects/?page={page}")
        found += part["results"]
        if not part["next"]:
            return found
        page += 1


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(Client, "wait", lambda *_: None)


def test_a_study_becomes_one_project_with_one_open_batch(turkle, token, exported, forms_of, capsys):
    assert publish(exported, turkle.address, "--dry_run") == 0
    assert "3 of 3 forms to publish" in capsys.readouterr().out
    assert forms_of(name_of(exported)) == []
    assert publish(exported, f"{turkle.address}/api/") == 0
    printed = capsys.readouterr().out
    assert "forms 1, 2, 3 added" in printed
    [batch] = batches_of(turkle, exported)
    assert (batch["assignments_per_task"], batch["active"], batch["published"]) == (2, True, True)
    assert batch["login_required"]
    assert name_of(exported) in batch["name"]
    assert "Which photo has fake colors?" in batch["name"]
    assert forms_of(name_of(exported)) == FORMS
    path = exported / state.PATH
    assert path.stat().st_mode & 0o777 == 0o600
    assert token not in path.read_text() + printed


def test_a_second_run_adds_nothing(turkle, token, exported, forms_of, capsys):
    assert publish(exported, turkle.address) == publish(exported, turkle.address) == 0
    assert "nothing to add, 3 there before" in capsys.readouterr().out
    assert forms_of(name_of(exported)) == FORMS
    assert len(batches_of(turkle, exported)) == 1


def test_nothing_is_doubled_when_the_state_is_lost_and_people_renamed_things(turkle, token, exported, forms_of):
    assert publish(exported, turkle.address) == 0
    [project] = [one for one in all_projects(turkle) if one["filename"] == f"{name_of(exported)}.html"]
    (exported / state.PATH).unlink()
    turkle.call(f"projects/{project['id']}/", {"name": "Colors"}, "PATCH")
    turkle.call(f"batches/{project['batches'][0]}/", {"name": "First"}, "PATCH")
    assert publish(exported, turkle.address) == 0
    assert forms_of(name_of(exported)) == FORMS
    assert json.loads((exported / state.PATH).read_text())["study"]["project"] == project["id"]
    (exported / state.PATH).unlink()
    turkle.call(f"projects/{project['id']}/", {"html_template": "<input name='a'>${form} ${trials}"}, "PATCH")
    assert publish(exported, turkle.address) == 2  # another page now, but the same project
    assert forms_of(name_of(exported)) == FORMS


@pytest.mark.parametrize("fault", ["lost", "unheard"])
@pytest.mark.parametrize(
    "at",
    [
        pytest.param(("/api/projects/", 0), marks=pytest.mark.slow, id="project"),
        pytest.param(("/api/batches/", 0), marks=pytest.mark.slow, id="batch"),
        pytest.param((TASKS, 0), marks=pytest.mark.slow, id="first form"),
        pytest.param((TASKS, 1), id="second form"),
    ],
)
def test_a_killed_run_is_repeated_and_nothing_is_there_twice(turkle, token, exported, between, forms_of, fault, at):
    process = None

    def kill(method, path, count):
        if method == "POST" and (path, count) == at:
            if fault == "unheard":  # the server does it, and only then is the command killed
                return fault
            os.kill(process.pid, signal.SIGKILL)
            return "lost"
        return None

    between.fault = kill
    command = [
        sys.executable,
        "-m",
        "human_eval.study",
        "publish",
        f"--study={exported}",
        f"--turkle={between.address}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if fault == "unheard":
        # The answer is withheld: the command waits before it looks at the server, and is killed in that time.
        while between.done.count(f"POST {at[0]}") <= at[1]:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert process.wait(60) == -signal.SIGKILL
    between.fault = lambda *_: None
    assert publish(exported, between.address) == 0
    assert forms_of(name_of(exported)) == FORMS
    [batch] = batches_of(turkle, exported)
    assert batch["active"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["lost", "unheard", 503])
def test_a_request_without_an_answer_is_looked_up_before_it_is_repeated(
    turkle, token, exported, between, forms_of, fault
):
    between.fault = lambda method, path, count: fault if method in ("POST", "PATCH") and count == 0 else None
    assert publish(exported, between.address) == 0
    assert forms_of(name_of(exported)) == FORMS
    [batch] = batches_of(turkle, exported)
    assert batch["active"]


@pytest.mark.slow
def test_a_server_that_goes_on_failing_gets_a_bounded_number_of_requests(
    turkle, token, exported, between, forms_of, capsys
):
    between.fault = lambda method, path, count: 503 if path == TASKS else None
    assert publish(exported, between.address) == 2
    assert f"{between.address}: answers 503" in capsys.readouterr().err
    assert between.seen.count(f"POST {TASKS}") == 3
    [batch] = batches_of(turkle, exported)
    assert not batch["active"]  # no rater meets half a batch
    between.fault = lambda *_: None
    assert publish(exported, between.address) == 0
    assert forms_of(name_of(exported)) == FORMS


@pytest.mark.slow
def test_forms_that_are_there_twice_stop_the_batch_from_opening(turkle, token, exported, between, capsys):
    between.fault = lambda method, path, count: 503 if path == TASKS and count > 0 else None
    assert publish(exported, between.address) == 2
    [batch] = batches_of(turkle, exported)
    line = (exported / "turkle" / "batch.csv").read_text().splitlines()[1]
    turkle.call(f"batches/{batch['id']}/tasks/", {"csv_text": f"form,trials\n{line}\n"})
    between.fault = lambda *_: None
    capsys.readouterr()
    assert publish(exported, between.address) == 2
    assert f"batch {batch['id']} has form 1 2 times" in capsys.readouterr().err
    assert not turkle.call(f"batches/{batch['id']}/")["active"]


@pytest.mark.slow
def test_a_batch_that_somebody_closed_stays_closed(turkle, token, exported, capsys):
    assert publish(exported, turkle.address) == 0
    [batch] = batches_of(turkle, exported)
    turkle.call(f"batches/{batch['id']}/", {"active": False}, "PATCH")
    assert publish(exported, turkle.address) == 0
    assert "CLOSED" in capsys.readouterr().out
    assert not turkle.call(f"batches/{batch['id']}/")["active"]


@pytest.mark.slow
def test_a_pilot_has_a_project_of_its_own(turkle, token, exported, export, forms_of):
    assert publish(exported, turkle.address) == 0
    export(exported, "--pilot")
    assert publish(exported, turkle.address) == 0
    assert forms_of(name_of(exported)) == forms_of(f"{name_of(exported)}-pilot") == FORMS


@pytest.mark.slow
def test_forms_of_a_top_up_come_to_those_that_are_there(turkle, token, exported, export, forms_of):
    assert publish(exported, turkle.address) == 0
    add_form(exported)
    assert publish(exported, turkle.address) == 2  # not exported yet
    export(exported)
    assert publish(exported, turkle.address) == 0
    assert forms_of(name_of(exported)) == [0, 1, 2, 3]
    assert sorted(batch["assignments_per_task"] for batch in batches_of(turkle, exported)) == [1, 2]


def add_form(folder) -> None:
    """A fourth form, for one rater, with the pairs of the first one under new numbers."""
    design = layout.load_design(folder)
    secret = layout.load_names_key(folder, layout.load_design(folder))
    first = design.forms[0]
    new = [dataclasses.replace(trial, id=trial.id + 1000) for trial in first.trials]
    for (_, old_names), (_, new_names) in zip(
        layout.image_pairs(secret, [first]),
        layout.image_pairs(secret, [dataclasses.replace(first, trials=tuple(new))]),
        strict=True,
    ):
        for old, name in zip(old_names, new_names, strict=True):
            (folder / layout.IMAGES / name).write_bytes((folder / layout.IMAGES / old).read_bytes())
    more = dataclasses.replace(first, number=len(design.forms), raters=1, trials=tuple(new))
    design = dataclasses.replace(design, forms=(*design.forms, more))
    layout.private_file(folder / layout.KEY, layout.key_csv(secret, design.forms))
    layout.private_file(folder / layout.DESIGN, design.to_json())


@pytest.mark.slow
def test_what_does_not_fit_is_refused_in_one_line(turkle, token, exported, export, new_study, tmp_path, capsys):
    def refused(*arguments: str) -> str:
        capsys.readouterr()
        assert publish(*arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    bare = new_study(tmp_path / "bare", images=3, block=3, raters=2)
    assert "export --format turkle" in refused(bare, turkle.address)
    assert publish(exported, turkle.address) == 0
    assert "is published at" in refused(exported, turkle.address.replace("127.0.0.1", "localhost"))
    [batch] = batches_of(turkle, exported)
    turkle.query("UPDATE turkle_batch SET assignments_per_task = 5 WHERE id = ?", batch["id"])
    assert "has 5 assignments a task, the study needs 2" in refused(exported, turkle.address)
    export(exported, "--title=Another title")
    assert "has another page" in refused(exported, turkle.address)
    turkle.query("UPDATE turkle_project SET id = id + 1000 WHERE id = ?", batch["project"])
    assert "is not there any more" in refused(exported, turkle.address)
    (exported / state.PATH).write_text("{")
    assert "is damaged" in refused(exported, turkle.address)
    (exported / state.PATH).unlink()
    template = exported / "turkle" / "template.html"
    template.write_text(template.read_text() + "n01440764")
    assert "leak" in refused(exported, turkle.address)


def test_two_runs_at_once_are_refused(turkle, token, exported, capsys):
    with state.only_one(exported):
        assert publish(exported, turkle.address) == 2
    assert "being published by another process" in capsys.readouterr().err
