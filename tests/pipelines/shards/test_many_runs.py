"""What shows only in many runs: no record is ever lost, and a kill at any moment changes no byte."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from coltran.records import folder as record_folder
from tests.conftest import encoded, smooth_photo
from tests.pipelines.sources.test_packings import record_rows
from tests.pipelines.test_preprocess import contents

pytestmark = pytest.mark.slow
RUNS = 20
KILLS = 5


def run_job(source, out, *arguments) -> str:
    command = [sys.executable, "-m", "pipelines.preprocess", "--source", str(source), "--out", str(out), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_20_runs_with_2_workers_lose_nothing(shared_data, tmp_path):
    """In a process each, counted by reading the records back, never by the engine's own counters."""
    first = None
    for number in range(RUNS):
        out = tmp_path / f"run_{number}"
        assert "480 read = 480 written + 0 rejected" in run_job(shared_data / "photos", out, "--hi=128", "--lo=32")
        rows = record_rows(out)
        assert len(rows) == 480
        assert all(shard.records for shard in record_folder.open_folder(str(out)).manifest.shards)
        first = first or (rows, contents(out))
        assert rows == first[0]
        assert contents(out) == first[1]


def test_killed_at_random_moments(tmp_path):
    """At least three kills fall where some shards are finished and some are not; each rerun makes just the others."""
    source = tmp_path / "source"
    source.mkdir()
    for index in range(400):
        (source / f"photo_{index}.JPEG").write_bytes(encoded(smooth_photo(index, 500, 600)))
    arguments = ["--num_shards=16", "--direct_num_workers=2"]
    undisturbed = tmp_path / "undisturbed"
    run_job(source, undisturbed, *arguments)
    moments = random.Random(1)
    partial = kills = 0
    while kills < KILLS or partial < 3:
        assert kills < 30, "the kills keep missing the work"
        out = tmp_path / f"killed_{kills}"
        command = [sys.executable, "-m", "pipelines.preprocess", "--source", str(source), "--out", str(out), *arguments]
        process = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        # By shards and not by the clock: a machine that gets faster or slower meanwhile moves every moment.
        reached, delay = moments.randrange(15), moments.uniform(0, 0.2)
        while process.poll() is None and len(list(out.glob("_work/done-*"))) < reached:
            time.sleep(0.01)
        time.sleep(delay)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        kills += 1
        done = {path.name for path in out.glob("_work/done-*")}
        printed = run_job(source, out, *arguments)
        assert contents(out) == contents(undisturbed)
        if 0 < len(done) < 16:
            partial += 1
            made = json.loads((out / "run.json").read_text())["shards_made"]
            assert {f"done-{index:05d}.json" for index in made}.isdisjoint(done)
            assert len(made) + len(done) == 16
            told = re.search(r"went on after (\d+) of 16 shards; made shards ([\d, ]+)", printed)
            assert int(told[1]) == len(done)
            assert [int(index) for index in told[2].split(", ")] == made
