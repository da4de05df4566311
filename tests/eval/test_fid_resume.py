"""Features are kept: a run that failed or was killed goes on, one with further rows computes those alone."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from coltran.errors import UserError
from eval import fid
from eval.scoring import job as fid_job
from eval.scoring.arguments import Options, RowSpec


def options(out, real, fake, **changes) -> Options:
    return Options(real=(str(real),), fake=(str(fake),), out=str(out), extractor="random", batch_size=4, **changes)


@pytest.fixture
def seen(quick_features, monkeypatch):
    """How many images went through the network; a list of one number."""
    count = [0]
    kept = fid_job.ExtractFeatures._features

    def counted(self, pixels):
        count[0] += len(pixels)
        return kept(self, pixels)

    monkeypatch.setattr(fid_job.ExtractFeatures, "_features", counted)
    monkeypatch.setattr(fid_job, "_FULL_BATCHES", 1)  # small groups of shards, so that a failure leaves some undone
    return count


def test_a_failed_run_goes_on_and_gives_the_same_bytes(tmp_path, holdout, more, seen, monkeypatch):
    whole = fid.run(options(tmp_path / "whole", holdout, more))
    assert seen[0] == 18
    seen[0] = 0
    save = fid_job.feature_store.save
    saved = []

    def full_disk(path, features):
        if len(saved) >= 3:  # two threads may save at once
            raise UserError("no space left")
        save(path, features)
        saved.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(fid_job.feature_store, "save", full_disk)
        with pytest.raises(UserError, match="no space left"):
            fid.run(options(tmp_path / "cut", holdout, more))
    kept = sum(len(np.load(path)["keys"]) for path in saved)
    assert 0 < kept < 18
    assert not (tmp_path / "cut" / "COMPLETED").exists()
    seen[0] = 0
    assert fid.run(options(tmp_path / "cut", holdout, more)) == whole
    assert seen[0] == 18 - kept
    assert (tmp_path / "cut" / "fid.json").read_bytes() == (tmp_path / "whole" / "fid.json").read_bytes()
    assert not (tmp_path / "cut" / "_work").exists()


def test_a_damaged_features_file_is_made_again(tmp_path, holdout, more, seen):
    whole = fid.run(options(tmp_path / "a", holdout, more))
    path = max((tmp_path / "a" / "features").rglob("*.npz"), key=lambda path: path.stat().st_size)
    images = len(np.load(path)["keys"])
    path.write_bytes(path.read_bytes()[:-100])
    seen[0] = 0
    again = fid.run(options(tmp_path / "b", holdout, more, features=str(tmp_path / "a" / "features")))
    assert again == whole
    assert seen[0] == images


def test_further_rows_compute_only_what_is_new(tmp_path, holdout, more, seen):
    first = options(tmp_path / "a", holdout, more)
    fid.run(first)
    seen[0] = 0
    rows = (RowSpec(name="more", repeats=((str(more),),)), RowSpec(name="truth"))
    second = Options(
        real=first.real,
        rows=rows,
        out=str(tmp_path / "b"),
        extractor="random",
        batch_size=4,
        features=str(tmp_path / "a" / "features"),
        real_part="truth",
        num=9,
    )
    result = fid.run(second)
    assert [row.name for row in result.rows] == ["more", "truth"]
    # The truth half and the other half are 18 of 21 images, of which the first run had 9.
    assert 9 <= seen[0] <= 12
    # 21 true images, of which two halves of 9 are scored, and all 9 of the other folder; 18 were kept by the first run.
    told = json.loads((tmp_path / "b" / "run.json").read_text())
    counts = {name: told[name] for name in ("found", "scored", "not_chosen", "passed_over")}
    assert counts == {"found": 30, "scored": 27, "not_chosen": 3, "passed_over": 0}
    assert (told["features_computed"], told["features_kept"]) == (seen[0], 27 - seen[0])
    assert [folder["found"] for folder in told["folders"]] == [21, 9]
    assert result.rows[0].scores[0].floor == result.rows[1].fid


@pytest.mark.slow
def test_killed_and_run_again_or_by_two_processes(tmp_path, holdout, more):
    def command(out, *more_arguments):
        arguments = [
            "--real",
            holdout,
            "--fake",
            more,
            "--out",
            out,
            "--extractor=random",
            "--batch_size=1",
            *more_arguments,
        ]
        return [sys.executable, "-m", "eval.fid", *map(str, arguments)]

    subprocess.run(command(tmp_path / "whole"), check=True)
    process = subprocess.Popen(command(tmp_path / "killed"), start_new_session=True)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "killed").rglob("features/*/*.npz")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "COMPLETED").exists()
    subprocess.run(command(tmp_path / "killed"), check=True)
    processes = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    subprocess.run(command(tmp_path / "processes", *processes), check=True)
    assert (tmp_path / "processes" / "fid.json").read_bytes() == (tmp_path / "whole" / "fid.json").read_bytes()
    for name in ("fid.json", "rows.csv", "report.html"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert json.loads((tmp_path / "killed" / "fid.json").read_bytes())["rows"][0]["fid"] > 0
