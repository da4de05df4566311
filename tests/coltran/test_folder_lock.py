"""One run at a time: a second one is refused, a dead one's lock is taken over, and a lost lock is noticed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from coltran import folder_lock as run_lock
from coltran.errors import UserError
from pipelines import preprocess
from tests.conftest import encoded, smooth_photo


@pytest.fixture
def lock(tmp_path) -> str:
    return str(tmp_path / "folder" / run_lock.LOCK)


def rewrite(path: str, **fields) -> None:
    with open(path) as file:
        holder = json.load(file)
    with open(path, "w") as file:
        json.dump(holder | fields, file)


def test_a_second_run_is_refused_and_told_who_holds_it(lock):
    with run_lock.held(lock):
        with pytest.raises(UserError, match=f"process {os.getpid()} on .* is writing this folder"), run_lock.held(lock):
            pytest.fail("two runs held one lock")
        assert os.path.exists(lock)  # the refused one did not take it away
    assert not os.path.exists(lock)


def test_it_is_free_after_an_exception(lock):
    with pytest.raises(ZeroDivisionError), run_lock.held(lock):
        raise ZeroDivisionError
    with run_lock.held(lock):
        pass


def test_a_killed_process_loses_it_at_once(lock):
    code = (
        "import sys, time\nfrom coltran import folder_lock as run_lock\n"
        "with run_lock.held(sys.argv[1]):\n    print(1, flush=True)\n    time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, lock], stdout=subprocess.PIPE)
    process.stdout.readline()
    with pytest.raises(UserError, match=f"process {process.pid}"), run_lock.held(lock):
        pass
    process.kill()
    process.wait()
    with run_lock.held(lock):
        pass


@pytest.mark.parametrize(
    ("silent_for", "free"), [(run_lock.STALE_SECONDS + 5, True), (run_lock.STALE_SECONDS - 30, False)]
)
def test_a_lock_of_another_host_is_free_when_it_stops_beating(lock, silent_for, free):
    with run_lock.held(lock), open(lock) as file:
        left = file.read()
    with open(lock, "w") as file:
        file.write(left)
    rewrite(lock, host="elsewhere", beat=time.time() - silent_for)
    if free:
        with run_lock.held(lock):
            pass
    else:
        with pytest.raises(UserError, match="on elsewhere"), run_lock.held(lock):
            pass


def test_a_process_id_that_was_given_to_another_process_is_no_holder(lock):
    with run_lock.held(lock), open(lock) as file:
        left = json.load(file)
    with open(lock, "w") as file:
        json.dump(left | {"started": "1"}, file)  # our own id, but not our own start
    with run_lock.held(lock):
        pass


def test_a_lock_that_was_cut_by_a_crash_is_free(lock):
    os.makedirs(os.path.dirname(lock))
    with open(lock, "w") as file:
        file.write('{"host": "el')
    with run_lock.held(lock):
        pass


def test_it_beats(lock, monkeypatch):
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.01)
    with run_lock.held(lock):
        with open(lock) as file:
            first = json.load(file)["beat"]
        deadline = time.monotonic() + 20
        while True:
            with open(lock) as file:
                text = file.read()
            if text and json.loads(text)["beat"] > first:
                break
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_run_that_lost_its_lock_does_not_end_well(lock):
    with pytest.raises(UserError, match="took over while this run did not answer"), run_lock.held(lock):
        rewrite(lock, token="another", process=1)
    assert os.path.exists(lock)  # it is the other one's


def test_two_commands_at_once(tmp_path):
    """The second is refused while the first works; the first ends well, and then the second has nothing to do."""
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    for index in range(100):
        (source / f"photo_{index}.JPEG").write_bytes(encoded(smooth_photo(index, 300, 400)))
    command = [sys.executable, "-m", "pipelines.preprocess", "--source", str(source), "--out", str(out)]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (out / "_work" / "plan.json").exists():
        assert first.poll() is None, "it ended before it was seen at work"
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGSTOP)  # so that it surely is at work while the second one looks
    second = subprocess.run(command, capture_output=True, text=True)
    os.kill(first.pid, signal.SIGCONT)
    assert second.returncode == 2
    assert f"process {first.pid}" in second.stderr
    assert first.wait() == 0
    assert preprocess.main(command[3:]) == 0


def test_holders_are_told_apart():
    holder = run_lock.Holder(host="a", process=1, started="", token="x", beat=time.time())
    assert not holder.is_stale()
    assert dataclasses.replace(holder, beat=0.0).is_stale()


@pytest.mark.parametrize("beats", [False, True])
def test_a_patient_run_waits_for_the_lock_of_another_host_to_beat_or_grow_stale(lock, monkeypatch, beats):
    # A run that sees a beat waits no longer, however late the machine is; the other one waits for all of it.
    monkeypatch.setattr(run_lock, "STALE_SECONDS", 60.0 if beats else 3.0)
    os.makedirs(os.path.dirname(lock))
    fresh = run_lock.Holder(host="elsewhere", process=1, started="", token="x", beat=time.time())
    with open(lock, "w") as file:
        json.dump(dataclasses.asdict(fresh), file)
    with pytest.raises(UserError, match="on elsewhere"), run_lock.held(lock):
        pass
    if not beats:
        with run_lock.held(lock, patient=True):
            assert time.time() - fresh.beat > run_lock.STALE_SECONDS
        return
    beat = threading.Timer(1, rewrite, [lock], {"beat": time.time() + 1})
    beat.start()
    with pytest.raises(UserError, match="on elsewhere"), run_lock.held(lock, patient=True):
        pass
    assert time.time() - fresh.beat < run_lock.STALE_SECONDS
    beat.join()
