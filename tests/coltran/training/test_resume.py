"""What can happen to a work folder in a week: every damage is told, and nothing begins again from zero."""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from flax import nnx

from coltran import train
from coltran.networks import presets
from coltran.records import framing
from coltran.training.checkpoint_writer import CheckpointWriter, best_score
from coltran.weights import checkpoint, parameters
from coltran.weights.arrays import ARRAYS
from coltran.weights.steps import BEST, METADATA

TINY = ["--config=smoke", "--set=hidden_size=8", "--set=ff_size=8", "--batch_size=4", "--ema_decay=0.9", "--samples=0"]
TINY += ["--stage=color_upsampler", "--checkpoint_every=10"]


def run(data, workdir, steps, *more):
    return train.main([*TINY, f"--data={data}", f"--workdir={workdir}", f"--steps={steps}", *more])


def losses(workdir):
    lines = [json.loads(text) for text in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


@pytest.fixture(scope="module")
def undisturbed(truth_folder, tmp_path_factory):
    """A work folder after 40 steps."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    assert run(truth_folder, workdir, 40) == 0
    return workdir


@pytest.fixture
def copy(undisturbed, tmp_path):
    """A copy of it that a test may damage, and its steps' folders: 20, 30 and 40."""
    workdir = shutil.copytree(undisturbed, tmp_path / "run")
    steps = checkpoint.finished_steps(workdir / "checkpoints")
    assert steps == [20, 30, 40]
    return workdir, [pathlib.Path(checkpoint.step_folder(workdir / "checkpoints", step)) for step in steps]


def ruin_arrays(step_folder):
    """Changes a byte in every 64 of the data files: which parts of which file are in use differs from run to run."""
    files = [file for file in (step_folder / ARRAYS).rglob("d/*") if file.stat().st_size > 4096]
    assert files
    for file in files:
        data = bytearray(file.read_bytes())
        for place in range(32, len(data), 64):
            data[place] ^= 255
        file.write_bytes(data)


def equals_undisturbed(workdir, undisturbed):
    ours, theirs = checkpoint.load(workdir), checkpoint.load(undisturbed)
    assert losses(workdir) == losses(undisturbed)
    assert (ours.step, ours.ema_sha256, ours.raw_sha256) == (40, theirs.ema_sha256, theirs.raw_sha256)


@pytest.mark.parametrize("damage", ["arrays", "description", "weights"])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(truth_folder, undisturbed, copy, capsys, damage):
    workdir, steps = copy
    if damage == "arrays":
        ruin_arrays(steps[-1])
    elif damage == "description":
        (steps[-1] / METADATA).write_text("{")
    else:
        metadata = json.loads((steps[-1] / METADATA).read_text())
        (steps[-1] / METADATA).write_text(json.dumps({**metadata, "raw_sha256": "0" * 64}))
    assert run(truth_folder, workdir, 40) == 0
    said = capsys.readouterr()
    assert f"going back to step 30: {steps[-1]}" in said.err
    assert "going on from step 30" in said.out
    assert (workdir / "checkpoints" / "damaged_step_00000040").is_dir()
    equals_undisturbed(workdir, undisturbed)


def test_half_a_checkpoint_is_no_checkpoint(truth_folder, undisturbed, copy, capsys):
    workdir, steps = copy
    (steps[-1] / METADATA).unlink()  # it is written last
    assert run(truth_folder, workdir, 40) == 0
    assert "going on from step 30" in capsys.readouterr().out
    equals_undisturbed(workdir, undisturbed)


def test_nothing_begins_anew_where_no_checkpoint_can_be_read(truth_folder, copy, capsys):
    workdir, steps = copy
    for step in steps:
        ruin_arrays(step)
    before = (workdir / "metrics.jsonl").read_text()
    assert run(truth_folder, workdir, 40) == 2
    error = capsys.readouterr().err
    assert error.startswith("coltran-train: none of the 3 checkpoints in")
    assert error.count("\n") == 1
    assert all(step.is_dir() for step in steps)
    assert (workdir / "metrics.jsonl").read_text() == before


def test_killed_in_its_first_checkpoint_it_says_that_it_begins_at_zero(truth_folder, tmp_path, capsys):
    (tmp_path / "checkpoints" / "step_00000010").mkdir(parents=True)
    assert run(truth_folder, tmp_path, 10) == 0
    assert "the first checkpoint was never finished; starting at step 0" in capsys.readouterr().err


@pytest.fixture
def small_disk(tmp_path):
    """`small_disk(kilobytes)` sets the size of an empty file system, a tmpfs; skips where nobody may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")

    def resize(kilobytes):
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", folder], check=True)
        return folder

    yield resize
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_ends_the_run_and_leaves_the_last_good_checkpoint(truth_folder, undisturbed, small_disk, capsys):
    one = sum(f.stat().st_blocks // 2 for f in (undisturbed / "checkpoints" / "step_00000040").rglob("*"))
    workdir = small_disk(6 * one) / "run"
    assert run(truth_folder, workdir, 20) == 0
    small_disk(shutil.disk_usage(workdir).used // 1024 + one // 2)  # no two checkpoints are equally large
    assert run(truth_folder, workdir, 40) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("coltran-train: ")
    assert "the checkpoint cannot be written" in error
    assert checkpoint.finished_steps(workdir / "checkpoints") == [10, 20]
    assert checkpoint.load(workdir).step == 20
    small_disk(6 * one)
    assert run(truth_folder, workdir, 40) == 0
    assert "going on from step 20" in capsys.readouterr().out
    equals_undisturbed(workdir, undisturbed)


def test_a_corrupt_shard_ends_the_run_with_its_name_and_keeps_the_checkpoints(
    truth_folder, undisturbed, tmp_path, capsys
):
    data, workdir = shutil.copytree(truth_folder, tmp_path / "data"), tmp_path / "run"
    assert run(data, workdir, 20) == 0
    shard = next(path for path in sorted(data.iterdir()) if ".tfrecord" in path.name)
    good = shard.read_bytes()
    with open(shard, "rb") as file:
        offset, length = next(iter(framing.read_layout(file, str(shard))))
    bad = bytearray(good)
    bad[offset + length // 2] ^= 255
    shard.write_bytes(bad)
    assert run(data, workdir, 40) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"coltran-train: {shard}: record at byte" in error
    assert "checksum mismatch" in error
    assert checkpoint.load(workdir).step >= 20
    shard.write_bytes(good)
    assert run(data, workdir, 40) == 0
    equals_undisturbed(workdir, undisturbed)


def test_records_of_another_size_or_content_are_refused(truth_folder, copy, tmp_path, photo_folder, capsys):
    from pipelines import preprocess

    workdir, _ = copy
    before = checkpoint.load(workdir).ema_sha256
    for flags, said in (
        (["--hi=32", "--lo=8"], "height is 16, asked for 8"),
        (["--hi=32", "--lo=16", "--limit=6"], "--data holds other records"),
    ):
        out = tmp_path / flags[1].strip("-") / str(len(flags))
        assert preprocess.main([f"--source={photo_folder}", f"--out={out}", "--num_shards=1", *flags]) == 0
        capsys.readouterr()
        assert run(out, workdir, 50) == 2
        assert said in capsys.readouterr().err
        assert run(truth_folder, workdir, 40, f"--validation={out}") == (2 if "--lo=8" in flags else 0)
        if "--lo=8" in flags:
            assert "the network takes 16x16 pixels" in capsys.readouterr().err
    assert checkpoint.load(workdir).ema_sha256 == before


def test_the_best_checkpoint_outlives_its_age(tmp_path):
    config = presets.network_config("color_upsampler", "smoke", height=4, width=4)
    flat = parameters.flatten(nnx.state(parameters.build(config, seed=0), nnx.Param))
    given = {"stage": "color_upsampler", "config": config, "ema": flat, "weights": flat}
    assert np.isinf(best_score(str(tmp_path)))
    with CheckpointWriter(str(tmp_path), keep=1) as writer:
        for step, bits in ((1, 5.0), (2, 4.0), (3, 4.5), (4, None)):
            writer.save(step=step, validation={} if bits is None else {"bits_per_dim": bits}, **given)
    assert checkpoint.finished_steps(tmp_path) == [2, 4]
    chosen = checkpoint.load(tmp_path / BEST)
    assert (chosen.step, chosen.validation, best_score(str(tmp_path))) == (2, {"bits_per_dim": 4.0}, 4.0)
    assert checkpoint.load(tmp_path).step == 4
    shutil.rmtree(checkpoint.step_folder(tmp_path, 2))
    assert np.isinf(best_score(str(tmp_path)))


def test_training_marks_the_step_with_the_fewest_bits(truth_folder, tmp_path):
    more = [f"--validation={truth_folder}", "--evaluate_every=5", "--keep=1"]
    assert run(truth_folder, tmp_path, 20, *more) == 0
    lines = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    bits = {line["step"]: line["validation/bits_per_dim"] for line in lines if "validation/bits_per_dim" in line}
    assert sorted(bits) == [0, 5, 10, 15, 20]
    best = checkpoint.load(tmp_path / "checkpoints" / BEST)
    assert best.step == min(bits, key=bits.get)
    assert best.validation["bits_per_dim"] == bits[best.step]
