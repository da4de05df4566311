"""Sets that would mislead, damaged folders and wrong flags: refused in one line, or marked in the result."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from coltran.records import partition, schema
from eval import fid
from eval.scoring.pairs import OVERLAP_ALLOWED, OVERLAP_UNCHECKED
from tests.conftest import smooth_photo, write_records
from tests.eval.fid_runs import RANDOM, SIZES, in_memory, only_score, pixels, quick_options, refused, run, truth_rows


def test_overlap_of_one_key_is_refused(capsys, tmp_path, holdout):
    rows = truth_rows("other", 5, seed=300)
    rows[3][schema.KEY] = "val/holdout_7"
    fake = write_records(tmp_path / "fake", schema.TRUTH, SIZES, rows)
    everything = ["--num=all", "--allow_unequal"]
    line = refused(capsys, tmp_path, "--real", holdout, "--fake", fake, *everything, *RANDOM)
    assert "1 of 5 fake images have their own truth among the real ones (val/holdout_7)" in line
    assert "--allow_overlap" in line


def test_allowed_overlap_is_marked_and_identical_sets_are_at_0(tmp_path, holdout, quick_features):
    result = only_score(fid.run(quick_options(tmp_path, real=holdout, fake=holdout, allow_overlap=True)))
    assert result.fid < 1e-6 * np.trace(np.cov(quick_features.features(pixels(holdout)), rowvar=False))
    assert result.overlap == OVERLAP_ALLOWED
    assert result.overlapping_keys == 21
    assert result.comparable is False
    assert OVERLAP_ALLOWED in result.notes


def test_png_folders_say_that_overlap_is_unchecked(tmp_path, holdout, quick_features):
    folder = tmp_path / "png"
    folder.mkdir()
    images = np.stack([smooth_photo(seed, 32, 32) for seed in range(5)])
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index}.png")
    result = only_score(fid.run(quick_options(tmp_path, real=holdout, fake=folder)))
    assert result.overlap == OVERLAP_UNCHECKED
    assert result.overlapping_keys is None
    assert result.fake.kind == "image files"
    chosen = partition.choose([f"val/holdout_{index}" for index in range(21)], seed=0, num=5)
    assert result.fid == pytest.approx(in_memory(quick_features, pixels(holdout, keys=chosen), images), rel=1e-10)


def test_bad_png_folders(capsys, tmp_path, holdout):
    folder = tmp_path / "png"
    folder.mkdir()
    arguments = ["--real", holdout, "--fake", folder, *RANDOM]
    assert "not a record folder" in refused(capsys, tmp_path, *arguments)
    Image.fromarray(smooth_photo(0, 32, 32)).save(folder / "a.png")
    assert "images: 1, but a distance needs at least 2" in refused(capsys, tmp_path, *arguments)
    Image.fromarray(smooth_photo(0, 32, 40)).save(folder / "b.png")
    assert "b.png has 40x32 pixels, others of the set 32x32" in refused(capsys, tmp_path, *arguments)
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:300])
    assert "b.png: PNG data is cut or damaged" in refused(capsys, tmp_path, *arguments)
    assert "no record keys" in refused(capsys, tmp_path, *arguments, "--fake_part=truth")
    Image.fromarray(smooth_photo(0, 32, 32)).save(folder / "c.jpg")
    assert "1 lossy images (c.jpg, by its content JPEG)" in refused(capsys, tmp_path, *arguments)


def test_bad_record_folders(capsys, tmp_path, holdout, more):
    line = refused(capsys, tmp_path, "--real", holdout, "--fake", tmp_path / "none", *RANDOM)
    assert f"{tmp_path / 'none'}: no such folder" in line
    larger = write_records(
        tmp_path / "larger", schema.TRUTH, schema.Sizes(lo=16, hi=64), truth_rows("larger", 3, 400, hi=64)
    )
    line = refused(capsys, tmp_path, "--real", holdout, "--fake", larger, *RANDOM)
    assert f"--real has images of 32x32, {larger} of 64x64" in line
    line = refused(capsys, tmp_path, "--real", holdout, larger, "--fake", more, *RANDOM)
    assert "images of 32x32 and 64x64 in one set" in line
    line = refused(capsys, tmp_path, "--real", holdout, holdout, "--fake", more, *RANDOM)
    assert "both hold 'val/holdout_" in line
    line = refused(capsys, tmp_path, "--real", holdout, "--fake", more, "--num=all", *RANDOM)
    assert "21 real images against 9 of" in line
    assert "--num 9, or --allow_unequal" in line
    line = refused(capsys, tmp_path, "--real", holdout, "--fake", more, "--num=10", *RANDOM)
    assert "--num 10: the folder has only 9 images" in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--extractor=inception", "--weights=nowhere.pth"], "no Inception weights at nowhere.pth"),
        (["--extractor=tfgan"], "saved_model.pb"),
        (["--extractor=vgg"], "invalid choice: 'vgg'"),
        (["--direct_running_mode=multi_threading"], "loses records without an error"),
        (["--extracter=random"], "Did you mean '--extractor'?"),
        (["--weights_seed=-1"], "expected a whole number, at least 0, got '-1'"),
    ],
)
def test_wrong_flags(flags, message, capsys, tmp_path, holdout, more):
    assert message in refused(capsys, tmp_path, "--real", holdout, "--fake", more, *flags)


def test_an_output_that_cannot_be_written_is_refused_first(capsys, tmp_path, holdout, more):
    (tmp_path / "file").write_text("")
    for out, message in (
        (tmp_path / "file", "is a file; name a folder"),
        (tmp_path / "file" / "a" / "fid", "file is no folder"),
    ):
        status, _, errors = run(capsys, "--real", holdout, "--fake", more, "--out", out, *RANDOM)
        assert status == 2
        assert message in errors


def test_an_engine_that_loses_images_is_noticed(tmp_path, holdout, more, quick_features, monkeypatch):
    from coltran.errors import UserError
    from eval.scoring import job as fid_job

    kept = fid_job.ExtractFeatures.process
    monkeypatch.setattr(fid_job.ExtractFeatures, "process", lambda self, parts: list(kept(self, parts))[1:])
    with pytest.raises(UserError, match=r"\d features of \d images of .* arrived"):
        fid.run(quick_options(tmp_path, real=holdout, fake=more))
    assert not (tmp_path / "fid" / "fid.json").exists()


def test_help_loads_no_heavy_library():
    code = (
        "import sys\nfrom eval import fid\n"
        "try:\n    fid.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'apache_beam', 'tensorflow', 'jax', 'scipy'} & set(sys.modules)\nsys.exit(f'{heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--allow_overlap" in done.stdout
