"""`--dry_run` writes nothing, and its size is what the job then writes."""

import re

import pytest

from coltran.records import folder as record_folder
from pipelines import preprocess
from pipelines.truth import dry_run


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_the_size_it_tells_is_the_size_that_is_written(encoding, photo_folder, tmp_path, capsys):
    arguments = ["--source", str(photo_folder), "--out", str(tmp_path / "out"), "--hi=64", "--lo=32"]
    arguments.append(f"--encoding={encoding}")
    assert preprocess.main([*arguments, "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert "12 of 12" in out
    told = float(re.search(r"output +([\d.]+) kB in", out)[1])
    assert preprocess.main(arguments) == 0
    written = sum(shard.size for shard in record_folder.open_folder(str(tmp_path / "out")).manifest.shards)
    assert told == pytest.approx(written / 1000, abs=1)


def test_rejects_and_a_full_disk_are_told(photo_folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "bad").mkdir()
    for path in sorted(photo_folder.rglob("*.JPEG"))[:3]:
        (tmp_path / "bad" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "bad" / "empty.jpg").touch()
    monkeypatch.setattr(dry_run.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    assert preprocess.main(["--source", str(tmp_path / "bad"), "--out", str(tmp_path / "out"), "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert "1 of 4 tried would be rejected" in out
    assert "NOT ENOUGH" in out


def test_a_job_that_would_fail_and_equal_keys_are_told(photo_folder, tmp_path, capsys):
    photo = sorted(photo_folder.rglob("*.JPEG"))[0].read_bytes()
    for name in ("a.jpg", "a.png", "b.jpg"):
        (tmp_path / name).write_bytes(photo)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.pdf").touch()
    arguments = ["--source", str(tmp_path), "--out", str(tmp_path / "out"), "--dry_run"]
    assert preprocess.main(arguments) == 0
    out = capsys.readouterr().out
    assert "1 of 3 tried would be rejected: THE JOB WILL FAIL, as --max_reject_fraction is 0.01" in out
    assert "1 will be rejected because another image has the same key, first 'a.png' with the key 'train/a'" in out
    assert "1 file passed over: 1 .pdf" in out
    assert preprocess.main([*arguments, "--max_reject_fraction=0.5"]) == 0
    assert "WILL FAIL" not in capsys.readouterr().out


def test_enlarging_every_photo_is_warned_of(photo_folder, tmp_path, capsys):
    """The largest of the twelve is 117 pixels high and 57 wide, so its square has 57; another has 66."""
    arguments = ["--source", str(photo_folder), "--out", str(tmp_path / "out")]
    for given, warned in (["--hi=128"], True), (["--hi=64", "--lo=32"], False), (["--hi=none", "--lo=256"], True):
        assert preprocess.main([*arguments, *given, "--dry_run"]) == 0
        assert ("is above every photo's size" in capsys.readouterr().out) == warned
    assert preprocess.main([*arguments, "--hi=128"]) == 0
    assert "coltran-preprocess: --hi 128 is above every photo's size" in capsys.readouterr().err
