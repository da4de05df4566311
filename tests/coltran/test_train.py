"""coltran-train: learning, exact resume after SIGKILL and SIGTERM, evaluation, logs, and refusals."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from coltran import checkpoint, losses, train

ROOT = pathlib.Path(__file__).parent.parent.parent
TINY = ["--config=smoke", "--set=hidden_size=8", "--set=ff_size=8", "--batch_size=4", "--ema_decay=0.9"]


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


def test_training_learns_and_says_so(truth_folder, undisturbed, capsys):
    found = training_losses(undisturbed)
    assert found[60] < found[10] - 0.5
    bits = evaluated(capsys, truth_folder, undisturbed)
    assert set(bits) == {"decoder bits per pixel", "parallel bits per pixel"}
    assert bits["decoder bits per pixel"] < np.log2(512) - 0.5
    # Every example once, whatever the batch size, the last batch partial.
    again = evaluated(capsys, truth_folder, undisturbed, "--batch_size=5")
    assert again == pytest.approx(bits, abs=2e-5)
    raw = evaluated(capsys, truth_folder, undisturbed, "--weights=raw")
    assert raw != pytest.approx(bits, abs=1e-3)


def evaluated(capsys, data, workdir, *more):
    capsys.readouterr()
    assert train.main(["--evaluate", "--data", str(data), "--checkpoint", str(workdir), *more]) == 0
    lines = [text.rsplit(maxsplit=1) for text in capsys.readouterr().out.splitlines()[1:]]
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
        (["--checkpoint=x"], "goes with --evaluate"),
    ],
)
def test_mistakes_get_one_line_and_a_status(truth_folder, undisturbed, capsys, more, said):
    given = arguments("colorizer", truth_folder, undisturbed)
    more = more if any(flag.startswith("--steps") for flag in more) else [*more, "--steps=60"]
    assert train.main([*given, *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


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
