"""Sampling, FID and study design on Beam's portable engines give the bytes that they give with FnApiRunner."""

import pathlib
from os.path import relpath

import pytest

from eval import fid, sample
from human_eval import study
from tests.eval.conftest import STAGES, save_untrained

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Three tiny networks."""
    root = tmp_path_factory.mktemp("checkpoints")
    for stage, side in STAGES.items():
        save_untrained(root / stage, stage, side)
    return root


def files(folder: pathlib.Path) -> dict[str, bytes]:
    """All files below a folder by their names there, but run.json, which holds timings."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.json"
    }


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """The command's folder, from which its paths are relative; the workers stand in another one."""
    monkeypatch.chdir(tmp_path)


def both_ways(run, flags, tmp_path) -> tuple[pathlib.Path, pathlib.Path]:
    """The folder that a command writes with FnApiRunner, and the one that it writes with the flags of an engine."""
    here, there = tmp_path / "here" / "out", tmp_path / "there" / "out"
    assert run(["--out=here/out"]) == 0
    assert run(["--out=there/out", *flags]) == 0
    assert (there / "COMPLETED").exists()
    return here, there


def test_sample(portable, truth_folder, checkpoints, tmp_path):
    arguments = [f"--records={relpath(truth_folder)}", "--seed=5", "--num=4", "--batch_size=4"]
    arguments += [f"--{stage}={relpath(checkpoints / stage)}" for stage in STAGES]
    here, there = both_ways(lambda more: sample.main([*arguments, *more]), portable.flags, tmp_path)
    assert files(there) == files(here)


def test_fid(portable, truth_folder, colorized_folder, tmp_path):
    # The results name the sets as the workers saw them, by absolute paths.
    arguments = [f"--real={truth_folder}", f"--fake={colorized_folder}", "--num=6", "--allow_overlap"]
    arguments += ["--extractor=random", "--batch_size=6"]
    here, there = both_ways(lambda more: fid.main([*arguments, *more]), portable.flags, tmp_path)
    assert files(there) == files(here)


def test_study_design(portable, truth_folder, colorized_folder, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32)
    arguments = ["design", f"--truth={relpath(truth_folder)}", f"--colorized={relpath(colorized_folder)}", "--seed=1"]
    arguments += ["--images=6", "--block=3", "--practice=2", "--catch=0.3", f"--secret={secret}"]
    here, there = both_ways(lambda more: study.main([*arguments, *more]), portable.flags, tmp_path)
    assert files(there) == files(here)
