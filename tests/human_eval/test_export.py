"""coltran-study export: the right pixels under opaque names, and nothing that tells."""

import csv
import io
import json
import stat

import numpy as np
import pytest
from PIL import Image

from coltran import record_folder, records
from human_eval import leak_audit, study


@pytest.fixture(scope="module")
def exported(truth_folder, colorized_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "study"
    arguments = [f"--truth={truth_folder}", f"--colorized={colorized_folder}", f"--out={out}", "--seed=1"]
    assert study.main(["export", *arguments, "--images=10", "--block=4"]) == 0
    return out


def read_key(folder) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "private" / "key.csv").read_text())))


def test_every_file_holds_the_pixels_that_the_key_says(exported, truth_folder, colorized_folder):
    pixels = {("truth", v[records.KEY]): v[records.RGB_HI] for v in record_folder.open_folder(str(truth_folder)).read()}
    for values in record_folder.open_folder(str(colorized_folder)).read():
        pixels["colorized", values[records.KEY], str(values[records.SAMPLE])] = values[records.RGB_HI]
    rows = read_key(exported)
    assert len(rows) == 2 * 10 * 3
    for row in rows:
        image = Image.open(exported / "public" / "images" / row["file"])
        name = ("truth", row["key"]) if row["role"] == "truth" else ("colorized", row["key"], row["sample"])
        np.testing.assert_array_equal(np.asarray(image), pixels[name])
        assert not image.info  # no metadata
    assert {row["file"] for row in rows} == {path.name for path in (exported / "public" / "images").iterdir()}


def test_the_page_and_the_batch_show_both_files_of_each_trial(exported):
    roles = {row["file"]: (row["trial"], row["role"]) for row in read_key(exported)}
    batch = list(csv.DictReader(io.StringIO((exported / "public" / "batch.csv").read_text())))
    page = (exported / "public" / "index.html").read_text()
    inside = json.loads(page.partition('id="study">')[2].partition("</script>")[0])
    assert [json.loads(row["trials"]) for row in batch] == [form["trials"] for form in inside["forms"]]
    trials = [trial for row in batch for trial in json.loads(row["trials"])]
    assert len(trials) == 30
    for trial in trials:
        assert {roles[name] for name in trial["images"]} == {(str(trial["trial"]), r) for r in ("truth", "colorized")}
    assert 0 < sum(roles[trial["images"][0]][1] == "truth" for trial in trials) < 30


def test_the_private_files_are_private(exported):
    for name in ("key.csv", "secret"):
        assert stat.S_IMODE((exported / "private" / name).stat().st_mode) == 0o600
    assert (exported / "COMPLETED").exists()


def test_the_same_export_again_changes_nothing(exported, truth_folder, colorized_folder, capsys):
    before = {path: path.stat().st_mtime_ns for path in exported.rglob("*")}
    arguments = [f"--truth={truth_folder}", f"--colorized={colorized_folder}", f"--out={exported}", "--seed=1"]
    assert study.main(["export", *arguments, "--images=10", "--block=4"]) == 0
    assert {path: path.stat().st_mtime_ns for path in exported.rglob("*")} == before
    assert study.main(["export", *arguments, "--images=10", "--block=5"]) == 2
    assert "holds a finished study" in capsys.readouterr().err


def test_the_audit_finds_leaks_that_are_put_in(exported, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(exported, copy, copy_function=shutil.copy2)
    public, key = copy / "public", copy / "private" / "key.csv"
    row = read_key(copy)[0]
    page = (public / "index.html").read_text()
    (public / "index.html").write_text(page + f"<!-- {row['key']} -->")
    file = public / "images" / row["file"]
    file.write_bytes(file.read_bytes() + b"longer")
    leaks = "\n".join(leak_audit.find_leaks(public, key))
    assert f"holds the source name {row['key']}" in leaks
    assert "holds the class n0" in leaks
    assert f"trial {row['trial']}: its two files differ in length" in leaks
    assert "different time stamps" in leaks


def test_names_cannot_be_made_without_the_secret(exported, truth_folder, colorized_folder, tmp_path, capsys):
    arguments = [f"--truth={truth_folder}", f"--colorized={colorized_folder}", "--seed=1", "--images=10", "--block=4"]
    assert study.main(["export", *arguments, f"--out={tmp_path / 'other'}"]) == 0
    first, second = ({row["file"] for row in read_key(folder)} for folder in (exported, tmp_path / "other"))
    assert not first & second
    (tmp_path / "third" / "private").mkdir(parents=True)
    (tmp_path / "third" / "private" / "secret").write_bytes((exported / "private" / "secret").read_bytes())
    assert study.main(["export", *arguments, f"--out={tmp_path / 'third'}"]) == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "third" / "public").rglob("*.*")} == {
        p.name: p.read_bytes() for p in (exported / "public").rglob("*.*")
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--images": "13"}, "only 12 images have a truth and all 3 samples"),
        ({"--samples": "4"}, "only 0 images"),
        ({"--truth": "/nowhere"}, "/nowhere: no such folder"),
        ({"--colorized": "TRUTH"}, "expected colorized records, got truth records"),
        ({"--out": "STUDY"}, "holds a finished study"),
        ({"--seed": "one"}, "--seed: invalid int value"),
    ],
)
def test_mistakes_get_one_line(change, message, exported, truth_folder, colorized_folder, tmp_path, capsys):
    options = {"--truth": truth_folder, "--colorized": colorized_folder, "--out": tmp_path / "o", "--seed": 1} | change
    options |= {"--images": change.get("--images", 10)}
    places = {"TRUTH": str(truth_folder), "STUDY": str(exported)}
    arguments = [f"{flag}={places.get(str(value), value)}" for flag, value in options.items()]
    assert study.main(["export", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
