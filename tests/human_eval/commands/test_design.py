"""coltran-study design: the right pixels under opaque names, and a study that keeps its promises."""

import csv
import json
import pathlib
import re
import shutil
import stat

import numpy as np
import pytest
from PIL import Image

from coltran.images import colors
from coltran.records import folder as record_folder, schema
from human_eval import study
from human_eval.answers import key as answer_key
from human_eval.design import check as design_check, wrong_colors
from human_eval.folder import layout, opaque_files
from human_eval.folder.forms import CATCH, PRACTICE, TEST
from tests.human_eval.commands.designs import SIZE, public_files, read_key


def test_every_file_holds_the_pixels_that_the_key_says(designed, truth_folder, colorized_folder):
    photos = {v[schema.KEY]: v[schema.RGB_HI] for v in record_folder.open_folder(str(truth_folder)).read()}
    fakes = {
        (v[schema.KEY], v[schema.SAMPLE]): v[schema.RGB_HI]
        for v in record_folder.open_folder(str(colorized_folder)).read()
    }
    rows = read_key(designed)
    # 2 blocks of 3 images, 3 forms each, with 2 practice and 1 catch pair a form.
    assert len(rows) == 2 * 6 * (3 + 2 + 1)
    for row in rows:
        path = designed / "public" / "images" / row["file"]
        image = Image.open(path)
        if row["role"] == "truth":
            expected = photos[row["key"]]
        elif row["model"] == "wrong_colors":
            expected = wrong_colors.wrong_colors(photos[row["key"]], row["key"])
        else:
            expected = fakes[row["key"], int(row["sample"])]
        # Every second row is random bytes. Their neighbors are the photo.
        np.testing.assert_array_equal(np.asarray(image)[1::2], expected)
        np.testing.assert_array_equal(opaque_files.decode(path.read_bytes()), expected)
        assert not image.info  # no metadata
    assert {row["file"] for row in rows} == {path.name for path in (designed / "public" / "images").iterdir()}
    assert {row["kind"] for row in rows if row["model"] == "wrong_colors"} == {CATCH}
    assert {row["model"] for row in rows} == {"colorized", "wrong_colors"}
    luma = json.loads((designed / "private" / "luma.json").read_text())
    assert luma["colorized"] > 1  # channels that were turned around change it


def test_wrong_colors_are_wrong_on_any_photo():
    rng = np.random.default_rng(0)
    gray = np.repeat(rng.integers(40, 216, (8, 8, 1), np.uint8), 3, axis=-1)
    for key in ("a", "b", "c"):
        fake = wrong_colors.wrong_colors(gray, key).astype(int)
        assert (np.ptp(fake, axis=-1) > 60).all()  # a photo without colors gets strong ones
        inside = ((fake > 0) & (fake < 255)).all(-1)
        assert np.abs(colors.luma(fake.astype(np.uint8)) - gray[..., 0])[inside].max() < 1.5
    assert {tuple(wrong_colors.wrong_colors(gray, key)[0, 0]) for key in "abcdefgh"}.__len__() == 2


def test_the_private_files_are_private(designed):
    for name in ("key.csv", "secret", "design.json"):
        assert stat.S_IMODE((designed / "private" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((designed / "private").stat().st_mode) == 0o700


def test_the_self_check_prints_exact_counts(arguments, designed, capsys):
    before = {path: path.stat().st_mtime_ns for path in designed.rglob("*")}
    assert study.main([*arguments, f"--out={designed}"]) == 0  # finished: only says it again
    said = capsys.readouterr().out
    assert "18 pairs of 6 images in 6 forms, 30 sittings, 90 ratings" in said
    assert "rated pairs a form   3, and 2 practice, 1 catch" in said
    assert re.search(r"ratings of a pair +5\n", said)
    assert "at 1.25 a form: 37.50 and 20% fee = 45.00" in said
    assert {path: path.stat().st_mtime_ns for path in designed.rglob("*")} == before
    assert study.main([*arguments, "--block=2", f"--out={designed}"]) == 2
    assert "holds another finished study" in capsys.readouterr().err


def test_the_same_seed_and_secret_give_the_same_bytes(arguments, designed, tmp_path):
    secret = f"--secret={designed / 'private' / 'secret'}"
    assert study.main([*arguments, secret, f"--out={tmp_path / 'again'}"]) == 0
    assert public_files(tmp_path / "again") == public_files(designed)
    for name in ("key.csv", "design.json"):
        assert (tmp_path / "again" / "private" / name).read_bytes() == (designed / "private" / name).read_bytes()
    assert study.main([*arguments, f"--out={tmp_path / 'other'}"]) == 0  # a secret of its own
    assert not public_files(tmp_path / "other").keys() & public_files(designed).keys()
    first, second = (layout.load_design(folder) for folder in (designed, tmp_path / "other"))
    # The same images; but trial numbers are public, and must not tell the order to whoever guesses the seed.
    assert {form.keys for form in first.forms} == {form.keys for form in second.forms}
    assert first.forms != second.forms
    assert first.study != second.study


def test_an_interrupted_design_starts_again_with_the_same_names(arguments, designed, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(designed, half)
    (half / "COMPLETED").unlink()
    (half / "private" / "design.json").unlink()
    (half / "public" / "images" / "of_a_killed_writer.png").write_bytes(b"")
    assert study.main([*arguments, f"--out={half}"]) == 0
    assert public_files(half) == public_files(designed)


def as_pngs(folder, out: pathlib.Path, *, samples: bool) -> pathlib.Path:
    for values in record_folder.open_folder(str(folder)).read():
        name = f"{values[schema.KEY]}/{values[schema.SAMPLE]}.png" if samples else f"{values[schema.KEY]}.png"
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values[schema.RGB_HI]).save(path)
    return out


def test_pngs_by_key_give_the_same_study_as_records(designed, truth_folder, colorized_folder, tmp_path):
    truth = as_pngs(truth_folder, tmp_path / "truth", samples=False)
    fakes = as_pngs(colorized_folder, tmp_path / "fakes", samples=True)
    secret = f"--secret={designed / 'private' / 'secret'}"
    out = tmp_path / "study"
    assert (
        study.main(["design", f"--truth={truth}", f"--colorized={fakes}", "--seed=1", *SIZE, secret, f"--out={out}"])
        == 0
    )
    assert layout.load_design(out).forms == layout.load_design(designed).forms
    photos, again = (
        {
            (row["trial"], row["role"]): opaque_files.decode(public_files(folder)[row["file"]]).tobytes()
            for row in read_key(folder)
        }
        for folder in (designed, out)
    )
    assert photos == again
    # Other studies with the same secret have other names: the practice of one would tell the roles in the other.
    assert not public_files(out).keys() & public_files(designed).keys()


def test_two_models_are_compared_on_the_same_images(truth_folder, colorized_folder, tmp_path, capsys):
    fakes = as_pngs(colorized_folder, tmp_path / "fakes", samples=True)
    out = tmp_path / "study"
    models = [f"--colorized=ours={colorized_folder}", f"--colorized=theirs={fakes}"]
    assert (
        study.main(["design", f"--truth={truth_folder}", *models, "--seed=2", *SIZE, "--samples=2", f"--out={out}"])
        == 0
    )
    assert "24 pairs of 6 images in 8 forms" in capsys.readouterr().out
    key = answer_key.load(out)
    shown = {(p.model, p.key, p.sample) for p in key.pairs.values() if p.kind == TEST}
    keys = {key for _, key, _ in shown}
    assert shown == {(model, key, sample) for model in ("ours", "theirs") for key in keys for sample in (0, 1)}
    for data in public_files(out).values():
        assert b"theirs" not in data


def test_a_broken_design_is_refused(designed):
    import dataclasses

    from coltran.errors import UserError

    design = layout.load_design(designed)
    first, *others = design.forms
    rated = next(trial for trial in first.trials if trial.kind == TEST)
    more = dataclasses.replace(first, trials=(*first.trials, rated))
    fewer = dataclasses.replace(first, raters=4)
    flipped = [
        dataclasses.replace(form, trials=tuple(dataclasses.replace(t, truth_first=True) for t in form.trials))
        for form in design.forms
    ]
    # The same pairs, but two of one image in the first form.
    mine, theirs = ([t for t in form.trials if t.kind == TEST] for form in design.forms[:2])
    same = next(t for t in theirs if t.key == mine[0].key)
    swap = {mine[1]: same, same: mine[1]}
    mixed = [dataclasses.replace(form, trials=tuple(swap.get(t, t) for t in form.trials)) for form in design.forms]
    for forms, word in (
        (tuple(mixed), "twice"),
        ((more, *others), "5 to 10"),
        ((fewer, *others), "4 to 5 ratings"),
        (tuple(flipped), "half"),
    ):
        with pytest.raises(UserError, match=word):
            design_check.check(dataclasses.replace(design, forms=forms))


def test_a_folder_of_somebody_else_is_left_alone(arguments, tmp_path, capsys):
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "important.txt").write_text("mine")
    assert study.main([*arguments, f"--out={tmp_path}"]) == 2
    assert "is not empty and is no study" in capsys.readouterr().err
    assert (tmp_path / "public" / "important.txt").read_text() == "mine"


def test_keys_that_end_in_numbers(tmp_path):
    for number in range(14):
        for name in ("truth", "fakes"):
            path = tmp_path / name / "val" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    sources = [f"--truth={tmp_path / 'truth'}", f"--colorized={tmp_path / 'fakes'}", "--seed=1"]
    sizes = ["--images=10", "--samples=1", "--practice=2", "--catch=0.1"]
    assert study.main(["design", *sources, *sizes, f"--out={tmp_path / 'study'}"]) == 0
    keys = {pair.key for pair in answer_key.load(tmp_path / "study").pairs.values()}
    assert all(key.startswith("val/") for key in keys)


def test_practice_and_catch_trials_are_of_other_images(designed):
    forms = layout.load_design(designed).forms
    by_kind = {kind: {t.key for f in forms for t in f.trials if t.kind == kind} for kind in (TEST, CATCH, PRACTICE)}
    assert [len(by_kind[kind]) for kind in (TEST, CATCH, PRACTICE)] == [6, 2, 2]
    assert len(set.union(*by_kind.values())) == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--images": "13"}, "only 12 images have a truth and all 3 samples"),
        ({"--samples": "4"}, "(the folders have at most 3: --samples)"),
        ({"--images": "11"}, "but only 1 are left; lower --images, --practice or --catch"),
        ({"--truth": "/nowhere"}, "/nowhere: no such folder"),
        ({"--colorized": "TRUTH"}, "expected colorized records, got truth records"),
        ({"--colorized": "wrong_colors=COLORIZED"}, "the name 'wrong_colors' is taken"),
        ({"--colorized": "a<b=COLORIZED"}, "expected FOLDER or NAME=FOLDER"),
        ({"--out": "STUDY"}, "holds another finished study"),
        ({"--out": "TRUTH"}, "is not empty and is no study"),
        ({"--seed": "one"}, "--seed: expected a whole number, at least 0, got 'one'"),
        ({"--seed": "-1"}, "--seed: expected a whole number, at least 0, got '-1'"),
        ({"--secret": "/nowhere"}, "/nowhere: no such file"),
        ({"--secret": "KEY", "--out": "STUDY"}, "has a secret of its own"),
        ({"--top_up": "top_up.csv"}, "a command of its own: coltran-study top_up --study STUDY top_up.csv"),
    ],
)
def test_mistakes_get_one_line(change, message, designed, truth_folder, colorized_folder, tmp_path, capsys):
    options = {"--truth": "TRUTH", "--colorized": "COLORIZED", "--out": tmp_path / "o", "--seed": 2} | change
    options = {"--images": 6, "--practice": 2, "--catch": 0.3, "--block": 3} | options
    places = {"TRUTH": str(truth_folder), "COLORIZED": str(colorized_folder), "STUDY": str(designed)}
    places["KEY"] = str(designed / "private" / "key.csv")
    arguments = []
    for flag, value in options.items():
        for word, place in places.items():
            value = str(value).replace(word, place)
        arguments.append(f"{flag}={value}")
    assert study.main(["design", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: Image.new("RGB", (32, 30)).save(path), "is 32x30, and its photo in"),
        (lambda path: Image.new("RGBA", (32, 32)).save(path), "PNG of mode RGBA"),
        (lambda path: path.write_bytes(b"no picture"), "is no PNG or JPEG file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "is no whole PNG file"),
    ],
)
def test_bad_pngs_are_named(make, message, truth_folder, colorized_folder, tmp_path, capsys):
    truth = as_pngs(truth_folder, tmp_path / "truth", samples=False)
    fakes = as_pngs(colorized_folder, tmp_path / "fakes", samples=True)
    make(sorted(fakes.rglob("1.png"))[3])
    out = f"--out={tmp_path / 'o'}"
    sizes = ("--images=12", "--practice=0", "--catch=0")
    assert study.main(["design", f"--truth={truth}", f"--colorized={fakes}", "--seed=2", out, *sizes]) == 2
    err = capsys.readouterr().err
    assert message in err.splitlines()[-1]  # after the progress bar
    assert "Traceback" not in err
    assert not (tmp_path / "o" / "COMPLETED").exists()


def test_jpegs_of_any_shape_are_cropped_alike_and_named(tmp_path, capsys):
    """One sample each, photos of several sizes, colorizations at half the size."""
    rng = np.random.default_rng(0)
    for number in range(14):
        width, height = ((64, 48), (40, 60), (50, 50))[number % 3]
        photo = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)).resize((width, height))
        for name, size in (("truth", (width, height)), ("fakes", (width // 2, height // 2))):
            path = tmp_path / name / f"{number}.jpg"
            path.parent.mkdir(exist_ok=True)
            photo.resize(size).save(path, quality=95)
    out = tmp_path / "study"
    sources = [f"--truth={tmp_path / 'truth'}", f"--colorized={tmp_path / 'fakes'}", "--seed=1"]
    assert study.main(["design", *sources, "--images=10", "--practice=2", "--catch=0.1", f"--out={out}"]) == 0
    said = capsys.readouterr().out
    assert "the folders have 1 sample of each photo: --samples 1" in said
    assert "14 of 14 photos become their middle square of 20 pixels: 0.jpg (64x48), " in said
    assert layout.load_design(out).side == 20
    crops = list(csv.DictReader((out / "private" / "crops.csv").open()))
    assert len(crops) == 28
    assert {"source": "truth", "file": "1.jpg", "width": "40", "height": "60", "side": "20"} in crops
    pairs = {}
    for row in read_key(out):
        if row["kind"] == "test":
            pixels = opaque_files.decode((out / "public" / "images" / row["file"]).read_bytes()).astype(int)
            pairs.setdefault(row["trial"], []).append(pixels)
    # The same part of the same photo: JPEG's losses and the smaller copy are all that differs.
    assert all(np.abs(one - two).mean() < 12 for one, two in pairs.values())
    assert np.abs(pairs.popitem()[1][0] - pairs.popitem()[1][0]).mean() > 20
    Image.new("RGB", (48, 64)).save(tmp_path / "fakes" / "0.jpg")
    assert study.main(["design", *sources, f"--out={tmp_path / 'other'}"]) == 2
    assert "is 48x64, and its photo in" in capsys.readouterr().err


def test_a_model_named_like_a_formula(truth_folder, colorized_folder, tmp_path):
    out = tmp_path / "study"
    sources = [f"--truth={truth_folder}", f"--colorized=+x={colorized_folder}", "--seed=1"]
    assert study.main(["design", *sources, *SIZE, f"--out={out}"]) == 0
    assert {row["model"] for row in read_key(out)} == {"'+x", "wrong_colors"}
    assert {pair.model for pair in answer_key.load(out).pairs.values()} == {"+x", "wrong_colors"}
