"""A work folder on gs:// holds what a local one holds, killed or not, and one run at a time writes it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from coltran import folder_lock, storage, train
from coltran.training import curves
from coltran.training.appended_file import AppendedFile
from coltran.training.log import METRICS, read_metrics
from coltran.weights import checkpoint, steps

TINY = ["--config=smoke", "--set=hidden_size=8", "--set=ff_size=8", "--batch_size=4", "--ema_decay=0.9"]
TINY += ["--stage=color_upsampler", "--checkpoint_every=5", "--evaluate_every=10", "--samples=2"]


def flags(data, workdir, count) -> list[str]:
    return [*TINY, f"--data={data}", f"--validation={data}", f"--workdir={workdir}", f"--steps={count}"]


def upload(folder, to) -> str:
    for name, _ in storage.list_files(str(folder)):
        storage.write_bytes(f"{to}/{name}", (folder / name).read_bytes())
    return to


def logged(workdir) -> dict[tuple[int, str], float]:
    """{(step, name): number} of metrics.jsonl without measured times; a number that is logged twice is an error."""
    lines = list(read_metrics(storage.join(str(workdir), METRICS)))
    found = [((step, name), value) for line in lines for step in [line.pop("step")] for name, value in line.items()]
    assert len(dict(found)) == len(found)
    return {key: value for key, value in found if key[1].endswith(("loss", "bits_per_dim", "norm", "rate"))}


@pytest.mark.slow
def test_a_killed_run_on_the_cloud_equals_a_local_one(bucket, truth_folder, tmp_path, capsys):
    data, workdir = upload(truth_folder, f"{bucket}/train-data"), f"{bucket}/run"
    command = [sys.executable, "-m", "coltran.train", *flags(data, workdir, 100_000)]
    child = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while not steps.finished_steps(f"{workdir}/checkpoints"):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    reached = steps.finished_steps(f"{workdir}/checkpoints")[-1]
    assert storage.exists(f"{workdir}/{folder_lock.LOCK}")  # left behind by the killed run, and taken over
    end = max(20, reached + 5)
    assert train.main(flags(data, workdir, end)) == 0
    assert f"going on from step {reached} of {workdir}" in capsys.readouterr().out
    local = tmp_path / "run"
    assert train.main(flags(truth_folder, local, end)) == 0

    ours, theirs = checkpoint.load(workdir), checkpoint.load(local)
    assert (ours.step, ours.ema_sha256, ours.raw_sha256) == (end, theirs.ema_sha256, theirs.raw_sha256)
    for name, array in theirs.optimizer.items():
        np.testing.assert_array_equal(ours.optimizer[name], array)
    assert logged(workdir) == logged(local)
    made, expected = ({name for name, _ in storage.list_files(folder)} for folder in (workdir, str(local)))
    for kind in ("samples/", "_lock"):
        assert {name for name in made if name.startswith(kind)} == {name for name in expected if name.startswith(kind)}
    for name in expected:
        if name.startswith("samples/"):
            assert storage.read_bytes(f"{workdir}/{name}") == (local / name).read_bytes()
    assert len([name for name in made if name.startswith("tensorboard/events")]) == 2
    best = [checkpoint.load(storage.join(str(folder), "checkpoints", steps.BEST)) for folder in (workdir, local)]
    assert best[0].step == best[1].step
    assert best[0].validation == best[1].validation

    assert curves.draw([workdir]) == curves.draw([local])
    told = []
    for folder, records in ((workdir, data), (local, truth_folder)):
        capsys.readouterr()
        assert train.main(["--evaluate", f"--data={records}", f"--checkpoint={folder}"]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]


def test_a_second_run_in_a_work_folder_is_refused(truth_folder, tmp_path, capsys):
    with folder_lock.held(str(tmp_path / folder_lock.LOCK)):
        assert train.main(flags(truth_folder, tmp_path, 5)) == 2
    assert f"process {os.getpid()} on" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_bucket_that_is_not_there_is_said_before_any_work(truth_folder, bucket, capsys):
    assert train.main(flags(truth_folder, "gs://no-such/run", 5)) == 2
    assert "gs://no-such/run: there is no bucket 'no-such'" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["disk", "cloud"])
def test_an_appended_file_holds_all_that_was_appended_over_several_runs(where, request, tmp_path):
    path = str(tmp_path / "a" / "log")
    if where == "cloud":
        path = f"{request.getfixturevalue('bucket')}/a/log"
    for text in (b"one\n", b"two\n"):
        file = AppendedFile(path)
        file.write(text)
        file.flush()
        file.write(text)
        file.close()
    assert storage.read_bytes(path) == b"one\none\ntwo\ntwo\n"


def test_a_folder_without_links_has_its_best_step_in_a_file(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "symlink", refuse)
    for step in (3, 4):
        (tmp_path / f"step_0000000{step}").mkdir()
        (tmp_path / f"step_0000000{step}" / steps.METADATA).write_text(json.dumps({}))
        steps.mark_best(str(tmp_path), step)
        best = steps.step_folder(tmp_path, step)
        assert steps.best_step(str(tmp_path)) == steps.locate(tmp_path / steps.BEST) == best
