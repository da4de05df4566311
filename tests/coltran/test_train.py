"""coltran-train: learning, exact resume after SIGKILL and SIGTERM, evaluation, logs, and refusals."""

import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from coltran import train
from coltran.records import folder as record_folder, schema
from coltran.training import curves, losses
from coltran.weights import checkpoint
from coltran.weights.steps import METADATA

ROOT = pathlib.Path(__file__).parents[2]
TINY = ["--config=smoke", "--set=hidden_size=8", "--set=ff_size=8", "--batch_size=4", "--ema_decay=0.9", "--samples=0"]


def arguments(stage, data, workdir, *more):
    return ["--stage", stage, "--data", str(data), "--workdir", str(workdir), *TINY, *more]


def training_losses(workdir):
    """{step: loss} of metrics.jsonl; a step that is logged twice is an error."""
    lines = [json.loads(text) for text in (workdir / "metrics.jsonl").read_text().splitlines()]
    found = [(line["step"], line["train/loss"]) for line in lines if "train/loss" in line]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.fixture(scope="module")
def undisturbed(truth_folder, tmp_path_factory):
    """A work folder after 60 steps in one go."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    more = ["--steps=60", "--checkpoint_every=10", f"--validation={truth_folder}", "--evaluate_every=20"]
    assert train.main(arguments("colorizer", truth_folder, workdir, *more)) == 0
    return workdir


def start(truth_folder, workdir, steps):
    """The same run as a process of its own."""
    command = [sys.executable, "-m", "coltran.train"]
    more = [f"--steps={steps}", "--checkpoint_every=10"]
    return subprocess.Popen([*command, *arguments("colorizer", truth_folder, workdir, *more)], cwd=ROOT)


def wait_for_step(workdir, step, child):
    deadline = time.monotonic() + 120
    while not any(s >= step for s in checkpoint.finished_steps(workdir / "checkpoints")):
        assert child.poll() is None, "the run ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("how", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGTERM])
def test_an_interrupted_run_equals_an_undisturbed_one(truth_folder, undisturbed, tmp_path, how):
    # The first run would go to step 100,000, so that it is surely interrupted; --steps may differ on resume.
    child = start(truth_folder, tmp_path, 100_000)
    wait_for_step(tmp_path, 10, child)
    os.kill(child.pid, how)
    status = child.wait()
    reached = checkpoint.finished_steps(tmp_path / "checkpoints")[-1]
    assert status == (-signal.SIGKILL if how == signal.SIGKILL else train.TERMINATED_STATUS)
    end = max(60, reached + 10)
    assert train.main(arguments("colorizer", truth_folder, tmp_path, f"--steps={end}", "--checkpoint_every=10")) == 0

    if end != 60:  # the machine was quicker than the signal: lengthen the undisturbed run's copy in its own folder
        longer = tmp_path / "longer"
        assert train.main(arguments("colorizer", truth_folder, longer, f"--steps={end}")) == 0
        undisturbed = longer
    ours, theirs = training_losses(tmp_path), training_losses(undisturbed)
    assert {step: ours[step] for step in theirs} == theirs
    mine, other = (checkpoint.load(folder) for folder in (tmp_path, undisturbed))
    assert mine.ema_sha256 == other.ema_sha256
    for name, array in other.optimizer.items():
        np.testing.assert_array_equal(mine.optimizer[name], array)


def test_training_learns_and_says_so(truth_folder, undisturbed, tmp_path, capsys):
    # On all 12 photos, so that no batch's luck counts. Seeds 0 to 3, each with AVX-512, AVX2 and SSE4.2: from step 20
    # to 60 the bits fall by 0.53 to 0.63, to 8.04 to 8.14; without learning by nothing, and they stay at 8.7.
    curve = dict(curves.validation(undisturbed, "ema"))
    assert curve[60] < curve[20] - 0.25
    bits = evaluated(capsys, truth_folder, undisturbed)
    assert set(bits) == {"decoder bits per pixel", "parallel bits per pixel"}
    assert bits["decoder bits per pixel"] < np.log2(512) - 0.5
    # Every example once, whatever the batch size, the last batch partial.
    again = evaluated(capsys, truth_folder, undisturbed, "--batch_size=5")
    assert again == pytest.approx(bits, abs=2e-5)
    raw = evaluated(capsys, truth_folder, undisturbed, "--weights=raw", f"--json={tmp_path / 'bits.json'}")
    found = json.loads((tmp_path / "bits.json").read_text())
    assert (found["stage"], found["step"], found["weights"], found["examples"]) == ("colorizer", 60, "raw", 12)
    keys = [values[schema.KEY] for values in record_folder.open_folder(str(truth_folder)).read([schema.KEY])]
    assert [image["key"] for image in found["images"]] == keys
    own = [image["decoder_bits_per_pixel"] for image in found["images"]]
    assert np.mean(own) == pytest.approx(raw["decoder bits per pixel"], abs=1e-6)
    assert len(set(own)) == 12
    assert raw != pytest.approx(bits, abs=1e-3)


def evaluated(capsys, data, workdir, *more):
    capsys.readouterr()
    assert train.main(["--evaluate", "--data", str(data), "--checkpoint", str(workdir), *more]) == 0
    lines = [text.rsplit(maxsplit=1) for text in capsys.readouterr().out.splitlines()[1:3]]
    return {name.strip(): float(value) for name, value in lines}


def test_tensorboard_reads_what_metrics_jsonl_has(undisturbed):
    from tensorflow.python.summary.summary_iterator import summary_iterator

    (events,) = (undisturbed / "tensorboard").iterdir()
    read = {
        (event.step, value.tag): value.simple_value
        for event in summary_iterator(str(events))
        for value in event.summary.value
    }
    for line in (undisturbed / "metrics.jsonl").read_text().splitlines():
        scalars = json.loads(line)
        step = scalars.pop("step")
        for name, value in scalars.items():
            assert read[step, name] == pytest.approx(value, rel=1e-6)
    assert any(tag == "validation/decoder_bits_per_pixel" for _, tag in read)


def test_a_step_of_each_upsampler(truth_folder, tmp_path, capsys):
    for stage in ("color_upsampler", "spatial_upsampler"):
        assert train.main(arguments(stage, truth_folder, tmp_path / stage, "--steps=2")) == 0
        bits = evaluated(capsys, truth_folder, tmp_path / stage)
        assert 0 < bits["bits per dim"] < 10


def test_bits_equal_minus_log2_of_the_softmax():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 3, 7)).astype(np.float32), rng.integers(0, 7, (2, 3))
    p = np.exp(logits.astype(np.float64))
    want = -np.log2(np.take_along_axis(p / p.sum(-1, keepdims=True), labels[..., None], -1)[..., 0])
    np.testing.assert_allclose(losses.bits(logits, labels), want, rtol=1e-5)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--learning_rate=0.01"], "learning_rate is 0.003, asked for 0.01"),
        (["--set=num_inner_layers=2"], "num_inner_layers is 1, asked for 2"),
        (["--steps=30"], "is at step 60 already"),
        (["--set=hiden_size=8"], "Did you mean 'hidden_size'"),
        (["--set=height=8"], "size follows the records"),
        (["--config=smok"], "Did you mean 'smoke'"),
        (["--batch_size=none"], "expected a whole number above 0"),
        (["--lerning_rate=1"], "Did you mean '--learning_rate'?"),
        (["--checkpoint=x"], "goes with --evaluate"),
        (["--out=x"], "--out goes with --plot"),
        (["--optimizer=adam"], "optimizer is 'rmsprop', asked for 'adam'"),
        (["--flip"], "flip is False, asked for True"),
        (["--schedule=cosine"], "schedule is 'constant', asked for 'cosine'"),
        (["--warmup_steps=60"], "warmup_steps must be at least 0 and below steps (60)"),
        (["--accumulate=3"], "batch_size 4 cannot be split evenly"),
        (["--process=0"], "--process go together"),
    ],
)
def test_mistakes_get_one_line_and_a_status(truth_folder, undisturbed, capsys, more, said):
    given = arguments("colorizer", truth_folder, undisturbed)
    more = more if any(flag.startswith("--steps") for flag in more) else [*more, "--steps=60"]
    assert train.main([*given, *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_old_runs_go_on_where_new_options_are_at_their_defaults(truth_folder, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "checkpoints" / "step_00000060" / METADATA
    metadata = json.loads(file.read_text())
    for name in ("optimizer", "schedule", "warmup_steps", "clip_norm", "flip", "skipped", "skipped_in_a_row"):
        del metadata["training"][name]
    file.write_text(json.dumps(metadata))
    assert train.main(arguments("colorizer", truth_folder, tmp_path, "--steps=60")) == 0


def test_too_many_bad_steps_end_the_run_with_a_good_checkpoint(truth_folder, tmp_path, capsys):
    given = arguments("color_upsampler", truth_folder, tmp_path, "--steps=60", "--learning_rate=1e36")
    assert train.main(given) == 2
    error = capsys.readouterr().err
    assert "not finite. The weights from before them are saved" in error
    assert "skipped" in error
    saved = checkpoint.load(tmp_path)
    assert saved.training["skipped"] > 10
    assert all(np.isfinite(array).all() for array in saved.weights.values())
    assert train.main(given) == 2  # the same command goes on, and meets the same end
    assert checkpoint.load(tmp_path).step > saved.step
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        assert "NaN" not in line
        assert "Infinity" not in line


def test_curves_are_drawn_from_the_logs_of_runs(truth_folder, undisturbed, tmp_path, capsys):
    out = tmp_path / "curves.png"
    assert train.main(["--plot", str(undisturbed), str(undisturbed), "--out", str(out)]) == 0
    picture = np.asarray(Image.open(out))
    assert picture.shape[1] > picture.shape[0] > 300
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 20
    both = [curves.validation(undisturbed, weights) for weights in ("ema", "raw")]
    assert [[step for step, _ in curve] for curve in both] == [[0, 20, 40, 60]] * 2
    assert both[0][0] == both[1][0]  # before the first step the moving average is the weights
    assert both[0] != both[1]
    assert [step for step, _ in curves.read(undisturbed, "train/loss")] == list(range(10, 70, 10))
    capsys.readouterr()
    assert train.main(["--plot", str(undisturbed), "--out", str(out)]) == 0  # its own picture is replaced
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"somebody's")
    assert train.main(["--plot", str(undisturbed), "--out", str(photo)]) == 2
    assert photo.read_bytes() == b"somebody's"
    assert train.main(["--plot", str(tmp_path), "--out", str(out)]) == 2
    assert "metrics.jsonl is not there" in capsys.readouterr().err


def test_samples_are_drawn_beside_the_truth(truth_folder, tmp_path):
    from tensorflow.python.summary.summary_iterator import summary_iterator

    more = ["--steps=2", "--samples=3", f"--validation={truth_folder}"]
    assert train.main(arguments("color_upsampler", truth_folder, tmp_path, *more)) == 0
    png = (tmp_path / "samples" / "samples_00000002.png").read_bytes()
    picture = np.asarray(Image.open(io.BytesIO(png)))
    (events,) = (tmp_path / "tensorboard").iterdir()
    (seen,) = [v.image for e in summary_iterator(str(events)) for v in e.summary.value if v.tag == "samples"]
    assert (seen.height, seen.width, seen.encoded_image_string) == (*picture.shape[:2], png)
    # The last column is the truth: the first three records, enlarged.
    rows = list(record_folder.open_folder(str(truth_folder)).read([schema.RGB_LO]))[:3]
    step = 128 + 6
    for index, row in enumerate(rows):
        top, left = 28 + index * step, 6 + 3 * step
        shown = picture[top : top + 128, left : left + 128]
        np.testing.assert_array_equal(shown[::8, ::8], row[schema.RGB_LO])


def test_evaluating_without_weights_is_refused(truth_folder, tmp_path, capsys):
    assert train.main(["--evaluate", "--data", str(truth_folder), "--checkpoint", str(tmp_path)]) == 2
    assert "holds no finished checkpoint" in capsys.readouterr().err


def test_help_imports_no_framework():
    check = (
        "import sys, coltran.train as t\n"
        "try: t.main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'jax', 'flax', 'tensorflow', 'apache_beam'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
