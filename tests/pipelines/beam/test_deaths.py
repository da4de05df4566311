"""Whatever dies in the middle of a job: the driver, or a worker. And a job that another launches from a template."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from coltran import storage
from pipelines import preprocess
from tests.conftest import encoded, smooth_photo
from tests.pipelines.beam import servers
from tests.pipelines.test_cloud import upload
from tests.pipelines.test_preprocess import contents

pytestmark = pytest.mark.slow
SMALL = ["--hi=32", "--lo=16", "--num_shards=3"]


def until(condition, seconds: float = 60) -> None:
    """Waits for a condition, which takes longer on a busy machine."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def large_photos(tmp_path_factory):
    """16 photos that take a worker about 6 seconds."""
    folder = tmp_path_factory.mktemp("large")
    data = [encoded(smooth_photo(seed, 1400, 1800), quality=95) for seed in range(4)]
    for index in range(16):
        (folder / f"photo_{index}.JPEG").write_bytes(data[index % 4])
    return folder


@pytest.fixture(scope="module")
def large_records(large_photos, tmp_path_factory):
    """What FnApiRunner makes of them."""
    out = tmp_path_factory.mktemp("undisturbed") / "train"
    assert preprocess.main([f"--source={large_photos}", f"--out={out}", "--num_shards=8"]) == 0
    return out


def test_the_driver_was_killed_right_after_submission(portable, photo_folder, truth_folder, tmp_path, capsys):
    out = tmp_path / "train"
    arguments = [f"--source={photo_folder}", f"--out={out}", *SMALL, *portable.flags]
    command = [sys.executable, "-m", "pipelines.preprocess", *arguments]
    root = pathlib.Path(__file__).parents[3]
    driver = subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL, start_new_session=True)
    until((out / "_work" / "job.json").exists)
    os.killpg(driver.pid, signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    assert not (out / "COMPLETED").exists()
    assert preprocess.main(arguments) == 2  # the job still makes the folder
    assert "still makes this folder; add --wait" in capsys.readouterr().err
    assert preprocess.main([*arguments, "--wait"]) == 0
    printed = capsys.readouterr().out
    assert "12 read = 12 written + 0 rejected" in printed
    assert contents(out) == contents(truth_folder)
    assert preprocess.main(arguments) == 0
    assert capsys.readouterr().out == printed


def test_a_worker_was_killed_in_the_middle(portable, large_photos, large_records, tmp_path, capsys):
    out = tmp_path / "train"
    arguments = [f"--source={large_photos}", f"--out={out}", "--num_shards=8", *portable.flags]

    def kill() -> None:
        until(lambda: list(out.glob("_work/done-*")))
        servers.kill_workers(portable.pool)

    killer = threading.Thread(target=kill)
    killer.start()
    assert preprocess.main([*arguments, "--give_up_seconds=25"]) == 2
    killer.join()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("coltran-preprocess: ")]
    reason = {"prism": "a worker died in", "python": "(a worker died in|nothing has moved for 25 s)"}[portable.name]
    assert len(lines) == 1
    assert re.search(f"failed on PortableRunner: {reason}", lines[0])
    assert lines[0].endswith("the same command goes on with what is missing")
    assert not (out / "COMPLETED").exists()
    assert preprocess.main(arguments) == 0
    assert "went on after" in capsys.readouterr().out
    assert contents(out) == contents(large_records)


def test_a_template_is_written_and_somebody_else_runs_it(prism, photo_folder, truth_folder, bucket, tmp_path, capsys):
    """The very pipeline that Dataflow gets, run by Prism without any program of ours but the workers'."""
    source, out = upload(photo_folder, bucket, "photos"), f"{bucket}/records/train"
    cloud = ["--runner=DataflowRunner", "--project=my-project", "--region=europe-west4", "--no_auth"]
    cloud += [f"--temp_location={bucket}/tmp", f"--template_location={bucket}/templates/job"]
    assert preprocess.main([f"--source={source}", f"--out={out}", *SMALL, *cloud]) == 0
    assert f"the job was written to {bucket}/templates/job" in capsys.readouterr().out
    assert storage.exists(f"{bucket}/templates/job")
    assert not storage.exists(f"{out}/COMPLETED")
    (staged,) = [name for name, _ in storage.list_files(f"{bucket}/tmp") if name.endswith("pipeline.pb")]
    with servers.worker_pool() as pool:  # it knows the emulator's address, which an older one does not
        assert servers.launch(storage.read_bytes(f"{bucket}/tmp/{staged}"), prism.server, pool) == "DONE"
    here = tmp_path / "fetched"
    here.mkdir()
    for name, _ in storage.list_files(out):
        (here / name).write_bytes(storage.read_bytes(f"{out}/{name}"))
    assert contents(here) == contents(truth_folder)
    shutil.rmtree(here)
