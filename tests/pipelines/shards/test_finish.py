"""The last step may run twice, late, or after something was lost; workers may die; a folder may be mended."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from coltran import storage
from coltran.errors import UserError
from coltran.records import folder as record_folder, schema
from pipelines import preprocess
from pipelines.shards import attempts
from pipelines.shards.finish import finish
from pipelines.shards.inputs import count_inputs, read_inputs
from pipelines.shards.job import ShardJob
from pipelines.shards.plan import Plan, begin_run, missing_shards, read_plan, write_plan
from pipelines.shards.report import is_made
from pipelines.shards.writer import write_shard
from tests.pipelines.test_preprocess import SMALL, contents, run

KEYS = [["a", "b", "c"], ["d"], []]


@pytest.fixture
def job(tmp_path) -> ShardJob:
    made = ShardJob(
        folder=str(tmp_path / "out"),
        schema=schema.TRUTH.name,
        split="train",
        sizes=schema.Sizes(lo=8, hi=None),
        features=(schema.KEY, schema.CROP, schema.LABEL, schema.GRAYSCALE),
        options={"lo": 8},
        fingerprint="f" * 64,
        num_shards=len(KEYS),
    )
    inputs = [[{"key": key} for key in keys] for keys in KEYS]
    write_plan(Plan(job=made, request={"lo": 8}, origin={"source": "photos"}, num_inputs=4), inputs)
    begin_run(made, range(len(KEYS)))
    return made


def make(job: ShardJob, index: int, dies_on: str = "") -> None:
    with write_shard(job, index) as writer:
        for line in read_inputs(job, index):
            if writer.attempt.is_poisoned(line["key"]):
                writer.reject(line["key"], attempts.REASON, "workers died")
                continue
            if line["key"] == dies_on:
                raise RuntimeError("stands for a dead worker: nothing is tidied up")
            values = {schema.KEY: line["key"], schema.CROP: 0, schema.LABEL: -1, schema.GRAYSCALE: 0}
            writer.write(schema.encode(schema.TRUTH, values, job.sizes))


def files(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_shard_reads_its_own_inputs(job):
    assert [[line["key"] for line in read_inputs(job, index)] for index in range(3)] == KEYS
    assert count_inputs(job) == [3, 1, 0]
    with pytest.raises(UserError, match="holds no entry of shard 3"):
        read_inputs(job, 3)


def test_a_plan_is_read_as_it_was_written(job):
    plan = read_plan(job.folder)
    assert plan.job == job
    assert (plan.request, plan.num_inputs, plan.repair) == ({"lo": 8}, 4, None)
    with open(job.work("plan.json"), "w") as file:
        file.write('{"fingerprint": "of an earlier version"}')
    assert read_plan(job.folder) is None


def test_finishing_twice_and_late_duplicates_change_nothing(job, tmp_path):
    for index in range(3):
        make(job, index)
    finish(job, max_reject_fraction=0.0)
    before = files(tmp_path / "out")
    assert "COMPLETED" in before
    assert not [name for name in before if name.startswith("_work")]
    finish(job, max_reject_fraction=0.0)
    assert is_made(job, 1)  # so a retried bundle does nothing
    write_plan(Plan(job=job, request={}, origin={}, num_inputs=4), [[{"key": key} for key in keys] for keys in KEYS])
    make(job, 1)  # a duplicate that had read its inputs before the end
    assert files(tmp_path / "out") == before


def test_a_worker_that_finishes_last_reads_what_the_first_one_wrote(job, tmp_path, monkeypatch):
    """Two workers finish at once: one removes `_work` while the other reads it."""
    for index in range(3):
        make(job, index)
    from pipelines.shards import finish as last_step

    real, twice = last_step.read_reports, []

    def overtaken(job, indices):
        if not twice:
            twice.append(True)
            finish(job, max_reject_fraction=0.0)
        return real(job, indices)

    monkeypatch.setattr(last_step, "read_reports", overtaken)
    assert finish(job, max_reject_fraction=0.0).counts["written"] == 4
    assert not (tmp_path / "out" / "_work").exists()


def test_a_missing_shard_is_never_finished(job, tmp_path):
    make(job, 0)
    with pytest.raises(UserError, match=r"done-00001.json"):
        finish(job, max_reject_fraction=0.0)
    assert not (tmp_path / "out" / "COMPLETED").exists()
    assert missing_shards(read_plan(job.folder)) == [1, 2]


def test_the_input_on_which_workers_die_is_found(job):
    """The first attempt knows nothing, two careful ones point at the input, and the fourth does without it."""
    for _ in range(3):
        with pytest.raises(RuntimeError):
            make(job, 0, dies_on="b")
        assert not is_made(job, 0)
    for index in range(3):
        make(job, index, dies_on="b")
    manifest = finish(job, max_reject_fraction=0.3)
    assert manifest.counts == {"read": 4, "written": 3, "rejected": 1}
    assert manifest.rejected_by_reason == {"worker_died": 1}


def test_workers_that_die_for_other_reasons_reject_nothing(job):
    for victim in ("a", "b", "c", "a"):
        with pytest.raises(RuntimeError):
            make(job, 0, dies_on=victim)
    with pytest.raises(UserError), write_shard(job, 0):
        raise UserError("the disk is full")  # says what it is, and is no input's fault
    make(job, 0)
    assert is_made(job, 0)


def test_careful_attempts_of_one_process_take_turns(job, monkeypatch):
    """Whenever one thread works on an input, no other attempt has noted one: they would die with it, and be blamed."""
    begun, remove = threading.Event(), storage.remove

    def slow_remove(path: str) -> None:
        begun.clear()
        begun.wait(0.3)  # another thread begins its next input now, if it may
        remove(path)

    monkeypatch.setattr(storage, "remove", slow_remove)
    for index in range(2):
        with pytest.raises(RuntimeError):
            make(job, index, dies_on=KEYS[index][0])
    noted = []

    def work(index: int) -> None:
        with write_shard(job, index) as writer:
            for line in read_inputs(job, index):
                assert not writer.attempt.is_poisoned(line["key"])
                found = [json.loads(path.read_text()) for path in pathlib.Path(job.work("")).glob("attempt-*")]
                noted.append([attempt["current"] for attempt in found if attempt["current"]])
                begun.set()
                values = {schema.KEY: line["key"], schema.CROP: 0, schema.LABEL: -1, schema.GRAYSCALE: 0}
                writer.write(schema.encode(schema.TRUTH, values, job.sizes))

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))
    assert sorted(noted) == [["a"], ["b"], ["c"], ["d"]]


POISON = """
import os, sys
from coltran.images import decoding
real = decoding.decode
def decode(data, **options):
    if len(data) == {size}:
        os._exit(9)
    return real(data, **options)
decoding.decode = decode
from pipelines import preprocess
sys.exit(preprocess.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_an_image_that_kills_the_process_is_rejected_at_the_fourth_try(photo_folder, tmp_path):
    victim = sorted(photo_folder.rglob("*.JPEG"))[3]
    command = [sys.executable, "-c", POISON.format(size=os.path.getsize(victim)), "--source", photo_folder]
    command += ["--out", tmp_path / "out", *SMALL, "--num_shards=2", "--max_reject_fraction=0.1"]
    tries = [subprocess.run(list(map(str, command)), capture_output=True, text=True) for _ in range(4)]
    assert [done.returncode for done in tries] == [9, 9, 9, 0]
    assert "12 read = 11 written + 1 rejected" in tries[-1].stdout
    [line] = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert (line["reason"], line["source"]) == ("worker_died", str(victim.relative_to(photo_folder)))


def test_repair_makes_the_damaged_shards_again_and_no_others(photo_folder, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["--source", photo_folder, "--out", out, *SMALL, "--num_shards=5"]
    run(capsys, *command)
    good, figures = contents(out), (out / "run.json").read_bytes()
    shards = sorted(out.glob("train.tfrecord-*"))
    shards[0].write_bytes(shards[0].read_bytes()[:-7])
    shards[2].unlink()
    flipped = bytearray(shards[4].read_bytes())
    flipped[len(flipped) // 2] ^= 4
    shards[4].write_bytes(flipped)
    kept = shards[1].stat().st_mtime_ns
    assert preprocess.main(["--verify", str(out)]) == 1
    assert "already finished" in run(capsys, *command)[1]
    status, printed, _ = run(capsys, *command, "--repair")
    assert status == 0
    assert "repaired, made shards 0, 2, 4 again" in printed
    assert contents(out) == good
    assert (out / "run.json").read_bytes() == figures
    assert shards[1].stat().st_mtime_ns == kept
    assert preprocess.main(["--verify", str(out)]) == 0
    assert "already finished" in run(capsys, *command, "--repair")[1]


def test_a_repair_that_was_killed_is_gone_on_with(photo_folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    command = ["--source", photo_folder, "--out", out, *SMALL, "--num_shards=3"]
    run(capsys, *command)
    good = contents(out)
    for shard in sorted(out.glob("train.tfrecord-*"))[:2]:
        shard.unlink()
    from pipelines.shards import run as shard_run

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shard_run.engine, "run_pipeline", killed)
    assert run(capsys, *command, "--repair")[0] != 0
    monkeypatch.undo()
    assert not (out / "COMPLETED").exists()
    with pytest.raises(UserError, match="not finished"):
        record_folder.open_folder(str(out))
    assert run(capsys, *command)[0] == 0
    assert contents(out) == good


def test_a_repair_from_other_inputs_is_refused(photo_folder, tmp_path, capsys):
    out = tmp_path / "out"
    run(capsys, "--source", photo_folder, "--out", out, *SMALL)
    status, _, err = run(capsys, "--source", photo_folder / "n01440764", "--out", out, *SMALL, "--repair")
    assert status == 2
    assert "12 inputs there, 4 here" in err
    assert (out / "COMPLETED").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--lo=8"], "lo is 16 there, 8 here"),
        (["--seed=3", "--icc=ignore"], "icc is srgb there, ignore here; seed is 0 there, 3 here"),
        (["--limit=5"], "12 inputs there, 5 here"),
        (["--stages=colorizer"], "stages is colorizer,color_upsampler,spatial_upsampler there, colorizer here"),
    ],
)
def test_a_refusal_says_what_differs(changed, said, photo_folder, truth_folder, capsys):
    status, _, err = run(capsys, "--source", photo_folder, "--out", truth_folder, *SMALL, "--num_shards=3", *changed)
    assert status == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_finished_folder_lists_nothing_and_names_its_origin(photo_folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    command = ["--source", photo_folder, "--out", out, *SMALL]
    run(capsys, *command)
    monkeypatch.setattr(preprocess, "choose", lambda _: pytest.fail("listed again"))
    assert "already finished" in run(capsys, *command)[1]
    told = json.loads((out / "run.json").read_text())
    assert told["origin"]["source"] == str(photo_folder)
    assert told["images_made"] == 12
    assert preprocess.main(["--describe", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"source       {photo_folder}" in printed
    assert "planned      20" in printed


def test_figures_add_up_over_resumed_runs(job, tmp_path):
    make(job, 0)
    begin_run(job, missing_shards(read_plan(job.folder)))
    make(job, 1)
    make(job, 2)
    finish(job, max_reject_fraction=0.0)
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [run["shards_made"] for run in told["runs"]] == [[0], [1, 2]]
    assert [run["images_made"] for run in told["runs"]] == [3, 1]
    assert told["images_made"] == 4
    assert told["seconds"] == pytest.approx(sum(run["seconds"] for run in told["runs"]))
