"""The same bytes from one worker, two threads, two processes, shards in another order, and after a kill -9."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from coltran.records import folder as record_folder, schema
from eval.sample import _grouped
from tests.conftest import encoded, smooth_photo
from tests.eval.conftest import STAGES
from tests.eval.test_sample import rows, run
from tests.pipelines.test_preprocess import contents

pytestmark = pytest.mark.slow  # each run compiles its programs anew


@pytest.fixture(scope="module")
def many_shards(tmp_path_factory):
    """40 photos in 8 shards, hi = 32 and lo = 16."""
    from pipelines import preprocess

    root = tmp_path_factory.mktemp("many")
    (root / "photos").mkdir()
    for index in range(40):
        (root / "photos" / f"photo_{index}.png").write_bytes(encoded(smooth_photo(index, 40, 50), "PNG"))
    arguments = [f"--source={root / 'photos'}", f"--out={root / 'records'}", "--hi=32", "--lo=16", "--num_shards=8"]
    assert preprocess.main(arguments) == 0
    return root / "records"


def command(truth, networks, out, *arguments) -> list[str]:
    chosen = [f"--{stage}={networks / stage}" for stage in STAGES]
    return [sys.executable, "-m", "eval.sample", f"--records={truth}", *chosen, f"--out={out}", *arguments]


ARGUMENTS = ("--seed=3", "--samples=3", "--batch_size=4", "--gallery=0")


@pytest.fixture(scope="module")
def undisturbed(many_shards, checkpoints, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    subprocess.run(command(many_shards, checkpoints, out, *ARGUMENTS, "--direct_num_workers=1"), check=True)
    return out


def test_two_threads(undisturbed, many_shards, checkpoints, tmp_path, capsys):
    status, _, err = run(capsys, many_shards, checkpoints, tmp_path / "out", *ARGUMENTS, "--direct_num_workers=2")
    assert status == 0, err
    assert contents(tmp_path / "out") == contents(undisturbed)
    assert len(rows(tmp_path / "out")) == 120


def test_two_processes(undisturbed, many_shards, checkpoints, tmp_path):
    more = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    subprocess.run(command(many_shards, checkpoints, tmp_path / "out", *ARGUMENTS, *more), check=True)
    assert contents(tmp_path / "out") == contents(undisturbed)


def test_shards_in_another_order(undisturbed, many_shards, checkpoints, tmp_path, capsys, monkeypatch):
    """Every shard meets other neighbors in its batches, and in other groups."""
    from eval import sample

    def backwards(missing, planned, least):
        return _grouped(missing[::-1], planned, 10 * least)

    monkeypatch.setattr(sample, "_grouped", backwards)
    status, _, err = run(capsys, many_shards, checkpoints, tmp_path / "out", *ARGUMENTS)
    assert status == 0, err
    assert contents(tmp_path / "out") == contents(undisturbed)


def test_batches_are_filled_across_small_shards():
    counts = [3, 0, 5, 9, 1, 1]
    assert _grouped([0, 1, 2, 3, 4, 5], counts, 8) == [[0, 1, 2], [3], [4, 5]]
    assert _grouped([1, 4], counts, 8) == [[1, 4]]
    assert _grouped([], counts, 8) == []


def test_the_compiled_size_is_part_of_the_fingerprint(undisturbed, many_shards, checkpoints, capsys):
    manifest = record_folder.open_folder(str(undisturbed)).manifest
    assert manifest.options["batch_size"] == 4
    arguments = [argument for argument in ARGUMENTS if not argument.startswith("--batch_size")]
    status, _, err = run(capsys, many_shards, checkpoints, undisturbed, *arguments, "--batch_size=5")
    assert status == 2
    assert "other inputs or options" in err


def test_killed_in_the_middle_of_two_workers(undisturbed, many_shards, checkpoints, tmp_path):
    """SIGKILL when some but not all shards are finished; the rerun makes the others alone, to the same bytes."""
    out = tmp_path / "out"
    arguments = command(many_shards, checkpoints, out, *ARGUMENTS, "--direct_num_workers=2")
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("_work/done-*")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "no shard was finished in two minutes"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {int(path.stem.split("-")[1]) for path in out.glob("_work/done-*")}
    stamps = {path.name: path.stat().st_mtime_ns for path in out.glob("colorized.tfrecord-*")}
    assert 0 < len(done) < 8
    subprocess.run(arguments, check=True)
    assert contents(out) == contents(undisturbed)
    facts = json.loads((out / "run.json").read_text())
    assert set(facts["shards_made"]) == set(range(8)) - done
    sizes = [shard.records for shard in record_folder.open_folder(str(out)).manifest.shards]
    first, last = facts["runs"]
    assert set(first["shards_made"]) == done
    assert last["images_made"] == sum(sizes[index] for index in facts["shards_made"])
    assert facts["images_made"] == sum(sizes)
    for name, stamp in stamps.items():
        if int(name.split("-")[1]) in done:
            assert (out / name).stat().st_mtime_ns == stamp, f"{name} was made again"


def test_samples_of_an_image_differ(undisturbed):
    made = rows(undisturbed)
    keys = {key for key, _ in made}
    assert all((made[key, 0][schema.COARSE_LO] != made[key, 1][schema.COARSE_LO]).any() for key in keys)
    assert len({np.float32(values[schema.LOG_LIKELIHOOD]) for values in made.values()}) > 100
