"""Over 40 kinds of bad file among 200 good photos: nothing is lost, nothing crashes, each gets its own reason."""

import json
import os

import pytest

from coltran.images import decoding
from coltran.records import folder as record_folder, schema
from pipelines import preprocess
from tests.conftest import encoded, smooth_photo
from tests.pipelines.sources.hostile_files import bad_files, odd_but_good


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory):
    """(folder, reasons by name of what must be rejected)."""
    folder = tmp_path_factory.mktemp("hostile")
    good = odd_but_good()
    for number in range(200 - len(good) - 1):
        good[f"photo_{number}.JPEG"] = encoded(smooth_photo(number, 40, 50))
    bad = bad_files()
    for name, data in [*good.items(), *((name, data) for name, (data, _) in bad.items())]:
        (folder / name).write_bytes(data)
    reasons = {name: reason for name, (_, reason) in bad.items()}
    with open(os.fsencode(str(folder)) + b"/not utf-8 \xff.jpg", "wb") as file:
        file.write(encoded(smooth_photo(5, 40, 50)))
    (folder / "link_to_nothing.jpg").symlink_to(folder / "nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    reasons |= {"link_to_nothing.jpg": "unreadable", "pipe.jpg": "unreadable"}
    (folder / "notes.txt").write_text("no image, no claim to be one")
    (folder / "folder.jpg").mkdir()
    return folder, reasons


def test_each_bad_file_has_its_reason_and_nothing_is_lost(hostile_folder, tmp_path, capsys):
    source, reasons = hostile_folder
    assert len(reasons) >= 40
    arguments = ["--source", str(source), "--out", str(tmp_path / "out"), "--hi=32", "--lo=16"]
    assert preprocess.main(arguments) == 2
    captured = capsys.readouterr()
    assert f"{len(reasons)} of {200 + len(reasons)} inputs were rejected (--max_reject_fraction=0.01)" in captured.err
    assert not (tmp_path / "out" / "COMPLETED").exists()

    assert preprocess.main([*arguments, "--max_reject_fraction=0.3"]) == 0
    out = capsys.readouterr().out
    assert f"{200 + len(reasons)} read = 200 written + {len(reasons)} rejected" in out
    lines = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert {line["source"]: line["reason"] for line in lines} == reasons
    assert len(lines) == len(reasons)
    assert all(line["message"] for line in lines)
    keys = [values[schema.KEY] for values in record_folder.open_folder(str(tmp_path / "out")).read([schema.KEY])]
    assert len(keys) == len(set(keys)) == 200
    assert "train/фото 写真 é" in keys


@pytest.mark.parametrize("name", odd_but_good())
def test_odd_photos_are_shown_as_a_viewer_would(name):
    """Within the loss of JPEG, GIF's palette and the like: what counts is that it is this photo, and upright."""
    photo = decoding.decode(odd_but_good()[name])
    expected = smooth_photo(2 if name.startswith("moving") else 1, 64, 80)
    if name in ("bits.png", "palette.png", "alpha.png") or name.startswith(("deep", "nan")):
        return  # their values are told by tests of their own
    if name == "turned.JPEG":
        expected = expected.transpose(1, 0, 2)[:, ::-1]
    if name.startswith("gray"):
        assert photo.grayscale
        return
    assert photo.rgb.shape == expected.shape
    assert abs(photo.rgb.astype(int) - expected).mean() < 8
