"""Raters' comments: kept once, harmless in a spreadsheet, gone with their rater."""

import csv
import json
import pathlib

import pytest

from human_eval import study
from human_eval.answers import comments

RUDE = '=HYPERLINK("http://x";"y")'


@pytest.fixture
def commented(study_path, tmp_path):
    """A study with one static answer file a rater, two of whom wrote something."""
    played = tmp_path / "played"
    assert study.main(["simulate", f"--study={study_path}", f"--out={played}", "--seed=1", "--raters=1"]) == 0
    files = sorted((played / "static").glob("*.json"))
    for file, text in zip(files, (RUDE, "two\nlines, <b>bold</b>", ""), strict=True):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"comment": text}))
    return [str(file) for file in files]


def test_each_comment_once_and_no_formula_runs(study_path, commented):
    arguments = ["ingest", f"--study={study_path}"]
    assert study.main([*arguments, commented[0]]) == 0
    assert study.main([*arguments, *commented]) == 0  # the first one again, and the others
    path = study_path / "private" / "comments.csv"
    before = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open(newline="") as file:
        cells = [row["comment"] for row in csv.DictReader(file)]
    assert sorted(cells) == sorted(["'" + RUDE, "two\nlines, <b>bold</b>"])
    assert {row[-1] for row in comments.read(path)} == {RUDE, "two\nlines, <b>bold</b>"}
    assert study.main([*arguments, *commented]) == 0
    assert path.read_bytes() == before


def test_a_forgotten_rater_s_comment_goes_and_stays_away(study_path, commented):
    assert study.main(["ingest", f"--study={study_path}", *commented]) == 0
    rater = json.loads(pathlib.Path(commented[0]).read_text())["rater"]
    assert study.main(["forget", f"--study={study_path}", f"--rater={rater}"]) == 0
    path = study_path / "private" / "comments.csv"
    assert {row[-1] for row in comments.read(path)} == {"two\nlines, <b>bold</b>"}
    assert study.main(["ingest", f"--study={study_path}", *commented]) == 0
    assert {row[-1] for row in comments.read(path)} == {"two\nlines, <b>bold</b>"}


def test_nobody_s_comment_makes_no_file(study_path, commented):
    assert study.main(["ingest", f"--study={study_path}", commented[2]]) == 0
    assert not (study_path / "private" / "comments.csv").exists()


def test_another_table_in_its_place_is_refused(study_path, commented, capsys):
    (study_path / "private" / "comments.csv").write_text("a,b\n1,2\n")
    assert study.main(["ingest", f"--study={study_path}", *commented]) == 2
    assert "is no table of comments" in capsys.readouterr().err
