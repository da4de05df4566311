"""Several devices and processes against one: the same examples, the same parameters, the same checkpoints."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import types

import jax
import numpy as np
import pytest

from coltran import train
from coltran.errors import UserError
from coltran.records import folder as record_folder, schema
from coltran.training import mesh
from coltran.weights import checkpoint
from tests.conftest import smooth_photo, write_records

ROOT = pathlib.Path(__file__).parents[3]
STEPS, BATCH, COUNT = 20, 8, 16
TINY = [
    "--config=smoke",
    "--set=hidden_size=8",
    "--set=ff_size=8",
    f"--batch_size={BATCH}",
    "--ema_decay=0.9",
    "--learning_rate=3e-4",
]

# Runs the command, and notes which examples were read, in the order of steps.
WORKER = """
import json, sys
from coltran import train
from coltran.training import inputs
real = inputs.Examples.batch
def batch(self, indices):
    with open(sys.argv[1], "a") as file:
        file.write(json.dumps(indices.tolist()) + "\\n")
    return real(self, indices)
inputs.Examples.batch, inputs.BATCHES_AHEAD = batch, 1
sys.exit(train.main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """16 records of 8x8 pixels: two batches an epoch."""
    from coltran.images import colors

    rows = []
    for index in range(COUNT):
        rgb = smooth_photo(index, 8, 8)
        coarse, gray = colors.rgb_to_coarse(rgb), colors.rgb_to_gray(rgb)
        facts = {schema.CROP: 0, schema.LABEL: 0, schema.GRAYSCALE: 0}
        rows.append({schema.KEY: f"image{index}", **facts, schema.GRAY_LO: gray, schema.COARSE_LO: coarse})
    out = tmp_path_factory.mktemp("records") / "train"
    return write_records(out, schema.TRUTH, schema.Sizes(lo=8, hi=8), rows)


def start(folder, out, *more, processes=1, devices=1, dtype="float32", data=None, seeds=(0, 0)):
    """Starts all processes of a run; each has a work folder of its own, of which only the first's is used.

    `data` and `seeds` are for processes that differ.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": "",  # each process compiles, as in a run of several machines
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_ENABLE_X64": str(int(dtype == "float64")),
    }
    children = []
    for index in range(processes):
        out[index].mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", WORKER, str(out[index] / "read.jsonl"), "--stage=colorizer", *TINY]
        command += [f"--data={(data or [folder] * processes)[index]}", f"--seed={seeds[index]}"]
        command += [f"--workdir={out[index]}", f"--set=compute_dtype={dtype}", *more]
        if processes > 1:
            command += [f"--coordinator=127.0.0.1:{port}", f"--processes={processes}", f"--process={index}"]
        with open(out[index] / "output.txt", "w") as output:
            children.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output))
    return children


def run(folder, out, *more, **machine):
    """Runs all processes of a run to their end."""
    for child, path in zip(start(folder, out, *more, **machine), out, strict=False):
        assert child.wait(timeout=300) == 0, (path / "output.txt").read_text()
    return out[0]


def losses(workdir):
    lines = [json.loads(text) for text in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """`alone(dtype)` -> work folder after 20 steps in one process on one device."""
    made = {}

    def get(dtype):
        if dtype not in made:
            out = tmp_path_factory.mktemp(dtype)
            made[dtype] = run(folder, [out], f"--steps={STEPS}", dtype=dtype)
        return made[dtype]

    return get


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sharded", [1, 4])
def test_two_processes_of_four_devices_equal_one(folder, alone, tmp_path, dtype, sharded):
    out = [tmp_path / "0", tmp_path / "1"]
    more = [f"--steps={STEPS}", f"--shard_parameters={sharded}"]
    run(folder, out, *more, processes=2, devices=4, dtype=dtype)
    assert sorted(path.name for path in out[1].iterdir()) == ["output.txt", "read.jsonl"]  # process 0 alone writes

    # Every example once per epoch, over both.
    keys = [row[schema.KEY] for row in record_folder.open_folder(str(folder)).read([schema.KEY])]
    read = [[json.loads(text) for text in (path / "read.jsonl").read_text().splitlines()] for path in out]
    per_epoch = COUNT // BATCH
    assert [len(lines) for lines in read] == [STEPS, STEPS]
    for epoch in range(0, STEPS, per_epoch):
        mine, theirs = ([i for line in lines[epoch : epoch + per_epoch] for i in line] for lines in read)
        assert len(mine) == len(theirs) == COUNT // 2
        assert sorted(keys[index] for index in mine + theirs) == sorted(keys)

    ours, want = checkpoint.load(out[0]), checkpoint.load(alone(dtype))
    assert ours.step == want.step == STEPS
    tolerance = {"float64": 1e-9, "float32": 1e-5}[dtype]
    assert losses(out[0]) == pytest.approx(losses(alone(dtype)), abs=tolerance)
    if dtype == "float64":
        for group in ("weights", "ema", "optimizer"):
            for name, array in getattr(want, group).items():
                assert array.dtype == np.float64
                close = np.abs(getattr(ours, group)[name] - array).max()
                assert close <= tolerance * np.abs(array).max(), (group, name)


@pytest.mark.slow
def test_checkpoints_go_from_one_process_to_several_and_back(folder, alone, tmp_path):
    want = run(folder, [tmp_path / "alone"], f"--steps={STEPS + 20}", dtype="float64")
    first = shutil.copytree(alone("float64"), tmp_path / "first")
    two = [first, tmp_path / "second"]
    run(folder, two, f"--steps={STEPS + 10}", "--shard_parameters=2", processes=2, devices=2, dtype="float64")
    assert f"going on from step {STEPS}" in (first / "output.txt").read_text()
    run(folder, [first], f"--steps={STEPS + 20}", "--accumulate=2", "--remat", dtype="float64")
    assert losses(first) == pytest.approx(losses(want), abs=1e-9)


@pytest.mark.slow
def test_sigterm_to_one_process_saves_and_ends_all(folder, tmp_path):
    out = [tmp_path / "0", tmp_path / "1"]
    children = start(folder, out, "--steps=100000", "--checkpoint_every=5", processes=2, devices=1)
    while not checkpoint.finished_steps(out[0] / "checkpoints"):
        assert all(child.poll() is None for child in children), (out[0] / "output.txt").read_text()
        time.sleep(0.05)
    os.kill(children[1].pid, signal.SIGTERM)
    assert [child.wait(timeout=300) for child in children] == [train.TERMINATED_STATUS] * 2
    said = (out[0] / "output.txt").read_text()
    saved = checkpoint.finished_steps(out[0] / "checkpoints")[-1]
    assert f"stopped by SIGTERM at step {saved}, saved" in said


@pytest.mark.slow
def test_a_dead_process_ends_the_others_and_all_go_on(folder, tmp_path):
    out = [tmp_path / "0", tmp_path / "1"]
    children = start(folder, out, "--steps=100000", "--checkpoint_every=5", processes=2)
    while len(checkpoint.finished_steps(out[0] / "checkpoints")) < 2:
        assert all(child.poll() is None for child in children), (out[0] / "output.txt").read_text()
        time.sleep(0.05)
    children[1].kill()
    assert children[0].wait(timeout=300) != 0
    assert "most likely because another process ended" in (out[0] / "output.txt").read_text()
    reached = checkpoint.finished_steps(out[0] / "checkpoints")[-1]
    run(folder, out, f"--steps={reached + 10}", processes=2)
    assert f"going on from step {reached}" in (out[0] / "output.txt").read_text()


@pytest.mark.slow
def test_what_one_process_finds_wrong_ends_all(folder, tmp_path):
    bad = shutil.copytree(folder, tmp_path / "bad")
    for shard in bad.glob("*.tfrecord-*"):
        data = bytearray(shard.read_bytes())
        data[-20] ^= 255  # in the last record's data
        shard.write_bytes(data)
    out = [tmp_path / "0", tmp_path / "1"]
    children = start(folder, out, "--steps=100000", processes=2, data=[folder, bad])
    assert [child.wait(timeout=300) for child in children] == [2, 2]
    assert "process 1: " in (out[1] / "output.txt").read_text()
    assert "checksum mismatch" in (out[1] / "output.txt").read_text()

    run_alike = start(folder, out, "--steps=100000", processes=2, seeds=[0, 1])
    assert [child.wait(timeout=300) for child in run_alike] == [2, 2]
    for path in out:
        said = (path / "output.txt").read_text()
        assert "the processes were started with different options: seed" in said


def test_a_coordinator_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(mesh, "CONNECT_SECONDS", 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"nobody listens at --coordinator {address}"):
            mesh.Hosts(coordinator=address, processes=2, process=1).join()


def test_parameters_are_split_along_their_largest_even_axis():
    class Four(mesh.Placement):  # the layout of a mesh that this process does not have
        def __init__(self):
            self.mesh = jax.sharding.AbstractMesh((2, 4), (mesh.DATA, mesh.FSDP))
            self.replicated = jax.sharding.NamedSharding(self.mesh, jax.sharding.PartitionSpec())

    split = {shape: tuple(Four().of(shape).spec) for shape in ((512, 4, 128), (3, 8), (6, 10), ())}
    assert split == {(512, 4, 128): ("fsdp", None, None), (3, 8): (None, "fsdp"), (6, 10): (), (): ()}


@pytest.mark.parametrize(
    ("platform", "devices", "batch_size", "pixels", "parts"),
    [
        ("cpu", 1, 32, 16 * 16, 4),
        ("cpu", 1, 30, 16 * 16, 5),  # 6 images at once: 7 and 8 do not divide 30
        ("cpu", 1, 8, 32 * 32, 4),
        ("cpu", 1, 4, 16 * 16, 1),
        ("cpu", 1, 3, 64 * 64, 3),  # never less than an image
        ("cpu", 4, 32, 16 * 16, 1),
        ("cpu", 2, 32, 32 * 32, 8),
        ("gpu", 1, 224, 64 * 64, 1),
    ],
)
def test_parts_of_a_batch_fit_the_caches_of_a_cpu(platform, devices, batch_size, pixels, parts):
    device = types.SimpleNamespace(platform=platform)
    devices_of_mesh = types.SimpleNamespace(size=devices, devices=np.array([[device]] * devices))
    placement = types.SimpleNamespace(mesh=devices_of_mesh)
    assert mesh.Placement.best_parts(placement, batch_size, pixels) == parts


def test_what_a_process_is_told_wrong():
    good = {"coordinator": "10.0.0.1:1234", "processes": 2, "process": 1}
    mesh.Hosts(**good)
    for change, said in (
        ({"processes": None}, "go together"),
        ({"coordinator": "10.0.0.1"}, "HOST:PORT, got '10.0.0.1'"),
        ({"process": 2}, "from 0 to 1, got 2"),
        ({"detect": True}, "give it alone"),
    ):
        with pytest.raises(UserError, match=said):
            mesh.Hosts(**{**good, **change})
    with pytest.raises(UserError, match="must divide the number of devices, 1; got 3"):
        mesh.Placement(shard_parameters=3)
    placement = mesh.Placement()
    with pytest.raises(UserError, match="over 3 parts for 1 devices: the nearest that can is 9"):
        placement.check_batch(8, 3)
