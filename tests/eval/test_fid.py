"""coltran-fid as a user runs it: the job's number is the in-memory number, whatever it is made from."""

import dataclasses
import json

import numpy as np
import pytest

from coltran.images import colors
from coltran.records import folder as record_folder, partition, schema
from eval import fid
from eval.features.extractors import RANDOM_NOTE, load_extractor
from eval.scoring import arguments as fid_arguments
from eval.scoring.pairs import OVERLAP_UNCHECKED
from tests.conftest import write_records
from tests.eval.fid_runs import RANDOM, in_memory, only_score, pixels, quick_options, refused, run


@pytest.fixture(scope="module")
def extractor():
    return load_extractor("random")


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


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (3, 7), (2, 32)])
def test_same_features_same_number(workers, batch_size, tmp_path, holdout, more, colorized_folder, quick_features):
    options = fid_arguments.Options(
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
    rows = record_folder.open_folder(str(folder)).read([schema.SAMPLE, schema.RGB_HI])
    return np.stack([row[schema.RGB_HI] for row in rows if row[schema.SAMPLE] == sample])


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
    from eval.scoring import network

    mixing = np.random.default_rng(0).normal(scale=0.02, size=(192, 2048)).astype(np.float32)

    def engine(images):
        return np.cos((images.reshape(len(images), 1, 192).astype(np.float32) @ mixing)[:, 0])

    waves = dataclasses.replace(quick_features, engine=engine)
    monkeypatch.setattr(network, "shared_extractor", lambda options: waves)
    generator = np.random.default_rng(1)
    folders, images = [], []
    sizes = schema.Sizes(lo=8)
    for name, highest in (("a", 256), ("b", 250)):
        images.append(generator.integers(0, highest, (5003, 8, 8, 3), dtype=np.uint8))
        rows = [
            {schema.KEY: f"{name}{index}", schema.CROP: 0, schema.LABEL: -1, schema.GRAYSCALE: 0}
            | {schema.RGB_LO: image}
            for index, image in enumerate(images[-1])
        ]
        folders.append(write_records(tmp_path / name, schema.TRUTH, sizes, rows, num_shards=4))
    options = quick_options(tmp_path, real=folders[0], fake=folders[1], image="lo", num="all")
    result = only_score(fid.run(options))
    assert result.fid == pytest.approx(in_memory(waves, *images), rel=1e-10)
    assert (result.real.count, result.fake.count) == (5003, 5003)
    assert [count for count, _ in result.curve][-1] == 5003
    assert result.fid_corrected < result.fid
    assert result.kid_standard_error > 0


def test_coarse_colors_and_the_grayscale_row(tmp_path, truth_folder, colorized_folder, quick_features):
    keys = [row[schema.KEY] for row in record_folder.open_folder(str(truth_folder)).read([schema.KEY])]
    halves = {part: partition.choose(keys, seed=3, part=part) for part in partition.PARTS}
    result = fid.run(
        fid_arguments.Options(
            out=str(tmp_path / "fid"),
            real=(str(truth_folder),),
            rows=(
                fid_arguments.RowSpec(name="model", repeats=((str(colorized_folder),),)),
                fid_arguments.RowSpec(name="grayscale"),
            ),
            image="coarse",
            real_part="truth",
            fake_part="condition",
            seed=(3,),
        )
    )
    rows = list(record_folder.open_folder(str(truth_folder)).read())
    coarse = {row[schema.KEY]: colors.coarse_to_rgb(row[schema.COARSE_LO]) for row in rows}
    gray = {row[schema.KEY]: np.repeat(row[schema.GRAY_LO][..., None], 3, axis=-1) for row in rows}
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
    from eval.scoring import network

    other = dataclasses.replace(quick_features, name="inception")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "shared_extractor", lambda options: other)
        with pytest.raises(UserError) as caught:
            fid.run(quick_options(tmp_path / "c", real=saved, fake=more))
    return str(caught.value)


def test_statistics_of_other_tools_are_marked(tmp_path, holdout, more, quick_features):
    features = quick_features.features(pixels(holdout))
    np.savez(tmp_path / "theirs.npz", mu=features.mean(axis=0), sigma=np.cov(features, rowvar=False))
    result = only_score(fid.run(quick_options(tmp_path, real=tmp_path / "theirs.npz", fake=more)))
    assert (result.overlap, result.counts_equal, result.real.count) == (OVERLAP_UNCHECKED, None, None)
    assert f"{tmp_path / 'theirs.npz'} does not say of how many images it is" in result.notes
    assert f"extractor of {tmp_path / 'theirs.npz'} unchecked" in result.notes
    assert result.comparable is False
