"""coltran-study new: answers become study.toml, and every command reads it."""

import io
import sys
import tomllib

import numpy as np
import pytest
from PIL import Image

from human_eval import study
from human_eval.folder import layout, settings


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Folders of JPEGs of several shapes, in a folder that commands run in."""
    rng = np.random.default_rng(0)
    for number in range(20):
        size = ((64, 48), (40, 60))[number % 2]
        for name in ("photos", "ours", "theirs"):
            path = tmp_path / name / f"{number:02d}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(monkeypatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))


ANSWERS = ("nowhere", "photos", "ours", "ours", "theirs", "theirs", "", "99", "", "2", "1,50", "maybe", "open")
CONSENT = ("Ann", "ann@example.org", "none needed", "Write to ann@example.org.")


def test_answers_become_settings_that_every_command_reads(photos, monkeypatch, capsys):
    answer(monkeypatch, *ANSWERS, *CONSENT)
    assert study.main(["new"]) == 0
    said = capsys.readouterr().out
    assert "there is no folder 'nowhere'" in said
    assert "expected a number from 1 to 16" in said
    found = tomllib.loads((photos / "study.toml").read_text())
    assert found["colorized"] == ["ours=ours", "theirs=theirs"]
    assert (found["images"], found["practice"], found["raters"], found["reward"]) == (16, 2, 2, 1.5)
    assert study.main(["design"]) == 0
    design = layout.load_design(photos / "study")
    assert (design.made_from["images"], design.made_from["samples"]) == (16, 1)
    assert set(design.made_from["models"]) == {"ours", "theirs"}
    assert design.consent["contact"] == "ann@example.org"
    assert study.main(["export"]) == 0
    assert study.main(["simulate", "--out=rehearsal"]) == 0
    assert study.main(["ingest", "--out=rehearsal/ratings.csv", "rehearsal/server.sqlite"]) == 0
    assert study.main(["score", "--ratings=rehearsal/ratings.csv", "--replicates=50"]) == 0
    assert (photos / "study" / "score" / "report.html").exists()
    assert study.main(["new"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_questions_that_end_early_write_nothing(photos, monkeypatch, capsys):
    answer(monkeypatch, "photos", "ours")
    assert study.main(["new"]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert not (photos / "study.toml").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("practise = 5", "no setting 'practise'. Did you mean 'practice'?"),
        ("raters = ", "is no TOML file"),
        ("[study]\nraters = 1", "study is {'raters': 1}; expected a text"),
        ("raters = 'many'", "--raters: expected a whole number"),
        ("colorized = [1]", "expected a text, a number"),
    ],
)
def test_mistakes_in_the_file_get_one_line(text, message, photos, capsys):
    (photos / "study.toml").write_text(text)
    assert study.main(["design", "--truth=photos", "--colorized=ours", "--seed=1", "--out=s"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_what_is_typed_goes_before_the_file():
    found = {"folder": "f", "raters": 5, "pilot": True, "colorized": ["a=b", "c=d"], "title": "T"}
    flags = settings.as_flags(found, "design", {"out", "raters", "colorized", "title"}, ["--raters=3", "--title", "X"])
    assert flags == ["--colorized=a=b", "--colorized=c=d", "--out=f"]
    assert settings.as_flags(found, "export", {"study", "pilot"}, []) == ["--pilot", "--study=f"]
    assert settings.as_flags(found, "score", {"study", "out"}, ["--out=x"]) == ["--study=f"]
