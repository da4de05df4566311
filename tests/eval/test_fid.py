"""coltran-fid as a user runs it: the job's number is the in-memory number, and sets that would mislead are refused."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from coltran import colors, partition, record_folder, records
from eval import fid, fid_options
from eval.distance import frechet_distance
from eval.extractors import RANDOM_NOTE, Extractor, load_extractor
from eval.fid_rows import OVERLAP_ALLOWED, OVERLAP_UNCHECKED
from eval.statistics import Statistics
from tests.conftest import smooth_photo, write_records

SIZES = records.Sizes(lo=16, hi=32)
RANDOM = ["--extractor=random", "--batch_size=4"]


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = fid.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys, tmp_path, *arguments) -> str:
    """The one line that a run ends with, and nothing written."""
    out = tmp_path / "refused"
    status, printed, errors = run(capsys, "--out", out, *arguments)
    assert status == 2
    assert printed == ""
    assert not (out / "fid.json").exists()
    lines = [line for line in errors.splitlines() if line.startswith("coltran-fid: ")]
    assert len(lines) == 1
    assert "Traceback" not in errors
    return lines[0]


@pytest.fixture(scope="module")
def extractor():
    return load_extractor("random")


def truth_rows(name: str, count: int, seed: int, hi: int = 32) -> list[dict]:
    return [
        {
            records.KEY: f"val/{name}_{index}",
            records.CROP: 0,
            records.LABEL: -1,
            records.GRAYSCALE: 0,
            records.RGB_HI: smooth_photo(seed + index, hi, hi),
            records.RGB_LO: smooth_photo(seed + index + 500, 16, 16),
        }
        for index in range(count)
    ]


@pytest.fixture(scope="module")
def holdout(tmp_path_factory):
    """21 truth records in 3 shards: a number that no batch size divides."""
    rows = truth_rows("holdout", 21, seed=100)
    return write_records(tmp_path_factory.mktemp("holdout") / "records", records.TRUTH, SIZES, rows, num_shards=3)


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """9 further truth records."""
    return write_records(
        tmp_path_factory.mktemp("more") / "records", records.TRUTH, SIZES, truth_rows("more", 9, seed=200)
    )


def pixels(folder, feature=records.RGB_HI, keys=None) -> np.ndarray:
    rows = record_folder.open_folder(str(folder)).read([records.KEY, feature])
    return np.stack([row[feature] for row in rows if keys is None or row[records.KEY] in keys])


def in_memory(extractor, real: np.ndarray, fake: np.ndarray) -> float:
    first, second = (Statistics.from_features(extractor.features(images)) for images in (real, fake))
    return frechet_distance(first, second)


def only_score(result):
    """Of a result of one row and one repeat."""
    (row,) = result.rows
    (score,) = row.scores
    assert row.fid == score.fid
    return score


def test_the_job_gives_the_in_memory_number(capsys, tmp_path, holdout, more, extractor):
    out = tmp_path / "new" / "fid"
    status, printed, _ = run(capsys, "--real", holdout, "--fake", more, "--num=9", "--out", out, *RANDOM)
    assert status == 0
    result = json.loads((out / "fid.json").read_text())
    (row,) = result["rows"]
    (score,) = row["scores"]
    keys = partition.choose([f"val/holdout_{index}" for index in range(21)], seed=0, num=9)
    # Batches differ between the two, and with them float32 rounding; the next test takes that away.
    expected = in_memory(extractor, pixels(holdout, keys=keys), pixels(more))
    assert score["fid"] == row["fid"] == pytest.approx(expected, rel=1e-5)
    assert (score["real"]["count"], score["fake"]["count"]) == (9, 9)
    assert result["image_size"] == [32, 32]
    assert score["overlap"] == "none"
    assert score["counts_equal"] is True
    assert score["comparable"] is False
    assert score["notes"][0] == RANDOM_NOTE
    assert "the paper used 5000, here are 9" in score["notes"][1]
    assert result["extractor"] == {"name": "random", "weights_sha256": extractor.weights_sha256, "resize": "tf1"}
    manifest = json.loads((holdout / "manifest.json").read_text())
    assert score["real"]["fingerprints"] == [manifest["fingerprint"]]
    assert f"{score['fid']:.4f}" in printed
    assert RANDOM_NOTE in printed
    assert (out / "COMPLETED").exists()
    # Again: nothing is computed, and the same is printed, with a word that says so.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    status, again, errors = run(capsys, "--real", holdout, "--fake", more, "--num=9", "--out", out, *RANDOM)
    assert (status, "features" in errors) == (0, False)
    assert again == f"{out}: already finished, nothing to do\n{printed}"
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    status, _, errors = run(capsys, "--real", holdout, "--fake", more, "--num=8", "--out", out, *RANDOM)
    assert status == 2
    assert "is of other images or options" in errors


@pytest.fixture
def quick_features(monkeypatch):
    """Features that cost nothing and do not depend on the batch: 2048 fixed mixtures of a few pixels."""
    from eval import fid_job

    mixing = np.random.default_rng(0).normal(size=(48, 2048))

    def engine(images):
        corner = images[:, :4, :4].reshape(len(images), 48).astype(np.float64)
        return (corner[:, None, :] @ mixing)[:, 0].astype(np.float32)

    quick = Extractor(
        name="random", weights_sha256="0" * 64, resize="tf1", comparable=False, note=RANDOM_NOTE, engine=engine
    )
    monkeypatch.setattr(fid_job, "shared_extractor", lambda options: quick)
    return quick


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (3, 7), (2, 32)])
def test_same_features_same_number(workers, batch_size, tmp_path, holdout, more, colorized_folder, quick_features):
    options = fid_options.Options(
        real=(str(holdout), str(more)),
        fake=(str(colorized_folder),),
        out=str(tmp_path / "fid"),
        extractor="random",
        batch_size=batch_size,
        num="all",
        allow_unequal=True,
    )
    result = only_score(fid.run(options, [f"--direct_num_workers={workers}"]))
    real = np.concatenate([pixels(holdout), pixels(more)])
    # 12 images with 3 samples each, of which one counts.
    assert (result.real.count, result.fake.count) == (30, 12)
    assert (result.real.kind, result.fake.kind) == ("truth records", "colorized records")
    assert (result.real.sample, result.fake.sample) == (None, 0)
    fake = sample_pixels(colorized_folder, 0)
    assert result.fid == pytest.approx(in_memory(quick_features, real, fake), rel=1e-10)
    assert result.counts_equal is False
    assert "unequal counts: 30 real and 12 fake images" in result.notes


def sample_pixels(folder, sample: int) -> np.ndarray:
    rows = record_folder.open_folder(str(folder)).read([records.SAMPLE, records.RGB_HI])
    return np.stack([row[records.RGB_HI] for row in rows if row[records.SAMPLE] == sample])


def quick_options(tmp_path, **changes) -> fid_options.Options:
    changes = {name: (str(value),) if name in ("real", "fake") else value for name, value in changes.items()}
    return fid_options.Options(out=str(tmp_path / "fid"), extractor="random", **changes)


def test_another_sample_of_each_image(tmp_path, holdout, colorized_folder, quick_features, capsys):
    result = only_score(fid.run(quick_options(tmp_path, real=holdout, fake=colorized_folder, sample=2)))
    assert (result.fake.count, result.fake.sample) == (12, 2)
    chosen = partition.choose([f"val/holdout_{index}" for index in range(21)], seed=0, num=12)
    expected = in_memory(quick_features, pixels(holdout, keys=chosen), sample_pixels(colorized_folder, 2))
    assert result.fid == pytest.approx(expected, rel=1e-10)
    arguments = ["--real", str(holdout), "--fake", str(colorized_folder), "--sample=3"]
    assert "no image has a sample 3" in refused(capsys, tmp_path, *arguments)


@pytest.mark.slow
def test_last_batch_and_more_images_than_dimensions(tmp_path, quick_features, monkeypatch):
    # 5,003 images, which no batch size divides; above 2048 the combiner folds. Random waves of the pixels have full
    # rank.
    from eval import fid_job

    mixing = np.random.default_rng(0).normal(scale=0.02, size=(192, 2048)).astype(np.float32)

    def engine(images):
        return np.cos((images.reshape(len(images), 1, 192).astype(np.float32) @ mixing)[:, 0])

    waves = dataclasses.replace(quick_features, engine=engine)
    monkeypatch.setattr(fid_job, "shared_extractor", lambda options: waves)
    generator = np.random.default_rng(1)
    folders, images = [], []
    sizes = records.Sizes(lo=8)
    for name, highest in (("a", 256), ("b", 250)):
        images.append(generator.integers(0, highest, (5003, 8, 8, 3), dtype=np.uint8))
        rows = [
            {records.KEY: f"{name}{index}", records.CROP: 0, records.LABEL: -1, records.GRAYSCALE: 0}
            | {records.RGB_LO: image}
            for index, image in enumerate(images[-1])
        ]
        folders.append(write_records(tmp_path / name, records.TRUTH, sizes, rows, num_shards=4))
    options = quick_options(tmp_path, real=folders[0], fake=folders[1], image="lo", num="all")
    result = only_score(fid.run(options))
    assert result.fid == pytest.approx(in_memory(waves, *images), rel=1e-10)
    assert (result.real.count, result.fake.count) == (5003, 5003)
    assert [count for count, _ in result.curve][-1] == 5003
    assert result.fid_corrected < result.fid
    assert result.kid_standard_error > 0


def test_overlap_of_one_key_is_refused(capsys, tmp_path, holdout):
    rows = truth_rows("other", 5, seed=300)
    rows[3][records.KEY] = "val/holdout_7"
    fake = write_records(tmp_path / "fake", records.TRUTH, SIZES, rows)
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
    assert result.fake.kind == "PNG files"
    chosen = partition.choose([f"val/holdout_{index}" for index in range(21)], seed=0, num=5)
    assert result.fid == pytest.approx(in_memory(quick_features, pixels(holdout, keys=chosen), images), rel=1e-10)


def test_coarse_colors_and_the_grayscale_row(tmp_path, truth_folder, colorized_folder, quick_features):
    keys = [row[records.KEY] for row in record_folder.open_folder(str(truth_folder)).read([records.KEY])]
    halves = {part: partition.choose(keys, seed=3, part=part) for part in partition.PARTS}
    result = fid.run(
        fid_options.Options(
            out=str(tmp_path / "fid"),
            real=(str(truth_folder),),
            rows=(
                fid_options.RowSpec(name="model", repeats=((str(colorized_folder),),)),
                fid_options.RowSpec(name="grayscale"),
            ),
            image="coarse",
            real_part="truth",
            fake_part="condition",
            seed=(3,),
        )
    )
    rows = list(record_folder.open_folder(str(truth_folder)).read())
    coarse = {row[records.KEY]: colors.coarse_to_rgb(row[records.COARSE_LO]) for row in rows}
    gray = {row[records.KEY]: np.repeat(row[records.GRAY_LO][..., None], 3, axis=-1) for row in rows}
    real = np.stack([coarse[key] for key in halves["truth"]])
    made = {"model": coarse, "grayscale": gray}  # the made-up colorizations keep the true coarse colors
    assert [row.name for row in result.rows] == list(made)
    for row in result.rows:
        fake = np.stack([made[row.name][key] for key in halves["condition"]])
        assert row.fid == pytest.approx(in_memory(quick_features, real, fake), rel=1e-10)
        assert any("of coarse images" in note for note in row.scores[0].notes)
        assert row.scores[0].comparable is False
    model, gray_row = (row.scores[0] for row in result.rows)
    assert model.floor == model.fid
    assert model.fake.diversity == 0
    assert gray_row.fake.colorfulness == 0 < gray_row.real.colorfulness
    assert result.image_size == (16, 16)


def test_statistics_of_one_run_are_the_truth_of_the_next(tmp_path, holdout, more, quick_features, capsys):
    first = only_score(fid.run(quick_options(tmp_path / "a", real=holdout, fake=more)))
    saved = tmp_path / "a" / "fid" / "statistics" / "real-seed0.npz"
    second = only_score(fid.run(quick_options(tmp_path / "b", real=saved, fake=more)))
    assert second.fid == pytest.approx(first.fid, rel=1e-10)
    assert (second.kid, second.overlap) == (pytest.approx(first.kid, rel=1e-10), "none")
    assert (second.real.kind, second.real.count) == ("statistics file", 9)
    # Its keys are checked like any others.
    line = refused(capsys, tmp_path, "--real", saved, "--fake", holdout, "--num=9", *RANDOM)
    assert "9 of 9 fake images have their own truth" in line
    assert "its extractor is random, this run's inception" in refused_by_extractor(
        tmp_path, saved, more, quick_features
    )


def refused_by_extractor(tmp_path, saved, more, quick_features) -> str:
    from coltran.errors import UserError
    from eval import fid_job

    other = dataclasses.replace(quick_features, name="inception")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fid_job, "shared_extractor", lambda options: other)
        with pytest.raises(UserError) as caught:
            fid.run(quick_options(tmp_path / "c", real=saved, fake=more))
    return str(caught.value)


def test_statistics_of_other_tools_are_marked(tmp_path, holdout, more, quick_features):
    features = quick_features.features(pixels(more))
    np.savez(tmp_path / "theirs.npz", mu=features.mean(axis=0), sigma=np.cov(features, rowvar=False))
    result = only_score(fid.run(quick_options(tmp_path, real=tmp_path / "theirs.npz", fake=holdout)))
    assert (result.overlap, result.counts_equal, result.real.count) == (OVERLAP_UNCHECKED, None, None)
    assert f"{tmp_path / 'theirs.npz'} does not say of how many images it is" in result.notes
    assert f"extractor of {tmp_path / 'theirs.npz'} unchecked" in result.notes
    assert result.comparable is False


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
    assert "1 lossy images (c.jpg)" in refused(capsys, tmp_path, *arguments)


def test_bad_record_folders(capsys, tmp_path, holdout, more):
    line = refused(capsys, tmp_path, "--real", holdout, "--fake", tmp_path / "none", *RANDOM)
    assert f"{tmp_path / 'none'}: no such folder" in line
    larger = write_records(
        tmp_path / "larger", records.TRUTH, records.Sizes(lo=16, hi=64), truth_rows("larger", 3, 400, hi=64)
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
        (["--weights_seed=-1"], "expected a whole number from 0 on, got '-1'"),
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
    from eval import fid_job

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
