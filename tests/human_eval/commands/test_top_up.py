"""Ratings that exclusions took away are asked for again: exactly those, in forms that show no image twice."""

import collections
import csv
import dataclasses
import shutil

import pytest
from hypothesis import given, settings, strategies as st

from human_eval import study
from human_eval.answers import ratings
from human_eval.design import check as design_check, forms, top_up
from human_eval.folder import layout
from human_eval.folder.forms import TEST, Variant

SIZES = ("--images=6", "--block=3", "--practice=1", "--catch=0.3", "--raters=3")
CONSENT = [f"--{name}=of the tests" for name in ("researcher", "contact", "ethics", "withdrawal")]


@pytest.fixture(scope="module")
def designed(truth_folder, colorized_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "study"
    sources = [f"--truth={truth_folder}", f"--colorized={colorized_folder}", "--seed=1"]
    assert study.main(["design", *sources, *SIZES, *CONSENT, f"--out={out}"]) == 0
    return out


@pytest.fixture
def shown(designed, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(designed, folder, copy_function=shutil.copy2)
    return folder


def play(folder, out, *, seed) -> None:
    """Careful raters for all forms, none of whom any rule excludes."""
    arguments = [f"--study={folder}", f"--out={out}", f"--seed={seed}", "--lapse=0"]
    assert study.main(["simulate", *arguments]) == 0
    assert study.main(["ingest", f"--study={folder}", str(out / "mturk.csv")]) == 0
    # From here on as if people had answered: what was made up tops up nothing.
    table = ratings.read(folder / "private" / "ratings.csv")
    ratings.write(folder / "private" / "ratings.csv", [dataclasses.replace(row, source="mturk-csv") for row in table])


def score(folder, out) -> list[dict]:
    assert study.main(["score", f"--study={folder}", f"--out={out}", "--replicates=50", "--min_ratings=1"]) == 0
    return list(csv.DictReader((out / "top_up.csv").open()))


def test_what_exclusions_took_is_asked_for_again(shown, tmp_path, capsys):
    before = layout.load_design(shown)
    files = {path.name: path.read_bytes() for path in (shown / "public" / "images").iterdir()}
    play(shown, tmp_path / "played", seed=5)
    table = ratings.read(shown / "private" / "ratings.csv")
    hasty = {sorted({row.assignment for row in table if row.form == form})[0] for form in (0, 4)}
    spoiled = [dataclasses.replace(r, response_ms=1.0) if r.assignment in hasty else r for r in table]
    ratings.write(shown / "private" / "ratings.csv", spoiled)
    short = score(shown, tmp_path / "score")
    assert len(short) == 6
    assert {row["missing"] for row in short} == {"1"}

    arguments = ["top_up", f"--study={shown}", str(tmp_path / "score" / "top_up.csv")]
    capsys.readouterr()
    assert study.main(arguments) == 0
    assert "2 forms of one sitting each added: 6 ratings of 6 pairs" in capsys.readouterr().out
    after = layout.load_design(shown)
    assert (after.study, after.forms[: len(before.forms)]) == (before.study, before.forms)
    new = after.forms[len(before.forms) :]
    asked = sorted((t.model, t.key, str(t.sample)) for form in new for t in form.trials if t.kind == TEST)
    assert asked == sorted((row["model"], row["key"], row["sample"]) for row in short)
    images = {path.name: path.read_bytes() for path in (shown / "public" / "images").iterdir()}
    assert {name: images[name] for name in files} == files
    assert len(images) == 2 * sum(len(form.trials) for form in after.forms)
    # The same list again, as after a terminal that died: those ratings are on their way.
    assert study.main(arguments) == 0
    assert "6 of 6 missing ratings are still to come" in capsys.readouterr().out
    assert layout.load_design(shown) == after
    # The old ratings still count, and the new forms can be shown and answered.
    assert study.main(["export", f"--study={shown}"]) == 0
    assert len(score(shown, tmp_path / "again")) == 6
    (shown / "private" / "ratings.csv").unlink()
    play(shown, tmp_path / "all", seed=6)
    assert score(shown, tmp_path / "complete") == []
    # Rehearsed raters fill exactly the places of the design: 3 for each form, and 1 for each that was added.
    table = ratings.read(shown / "private" / "ratings.csv")
    sat = collections.Counter(form for form, _ in {(row.form, row.assignment) for row in table})
    assert sat == {form.number: form.raters for form in after.forms}
    assert set(sat.values()) == {3, 1}


@settings(deadline=None)
@given(data=st.data())
def test_every_missing_rating_once_no_image_twice(data):
    variants = [Variant(model=model, sample=sample) for model in "ab" for sample in range(2)]
    pool = forms.Pool(test=[f"i{n}" for n in range(8)], catch=["c0", "c1"], practice=[("p", variants[0])])
    planned = forms.plan(pool, variants, block=4, catch=0.25, raters=5, seed=0)
    made_from = {"seed": 0, "catch": 0.25, "block": 4, "raters": 5, "samples": 2, "models": {"a": "", "b": ""}}
    design = layout.StudyDesign(
        study="s", title="t", side=2, made_from=made_from, sources={}, planned=len(planned), forms=tuple(planned)
    )
    pairs = [(v.model, key, v.sample) for v in variants for key in pool.test]
    needed = data.draw(st.dictionaries(st.sampled_from(pairs), st.integers(1, 5), min_size=1))
    new = top_up.plan(design, needed, block=4, seeds=[1])
    shown = collections.Counter((t.model, t.key, t.sample) for form in new for t in form.trials if t.kind == TEST)
    assert shown == needed
    for form in new:
        keys = [trial.key for trial in form.trials]
        assert len(set(keys)) == len(keys)
        assert 1 <= sum(trial.kind == TEST for trial in form.trials) <= 4
    per_image = collections.Counter()
    for (_, key, _), missing in needed.items():
        per_image[key] += missing
    # No more forms than the fullest image and the block's size ask for, but for what does not divide.
    assert len(new) <= max(max(per_image.values()), -(-sum(needed.values()) // 4)) + 1
    design_check.check(dataclasses.replace(design, forms=(*planned, *new)), topped_up=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study,model,key,sample,missing\nSTUDY,colorized,nobody,0,1\n", "line 2: the study has no such pair"),
        ("study,model,key,sample,missing\nSTUDY,colorized,x,zero,1\n", "sample and missing must be whole numbers"),
        (
            "study,model,key,sample,missing\nSTUDY pilot,colorized,x,0,1\n",
            "line 2: is of 'STUDY pilot', not of the study",
        ),
        ("a,b\n", "expected the columns study, model, key, sample and missing"),
    ],
)
def test_other_lists_are_refused(text, message, shown, tmp_path, capsys):
    name = layout.load_design(shown).study
    (tmp_path / "top_up.csv").write_text(text.replace("STUDY", name))
    assert study.main(["top_up", f"--study={shown}", str(tmp_path / "top_up.csv")]) == 2
    err = capsys.readouterr().err
    assert message.replace("STUDY", name) in err
    assert err.count("\n") == 1


def test_places_that_are_still_open_are_not_asked_for_again(shown, tmp_path, capsys):
    """Scored while raters are at work: what open places will bring is not missing."""
    play(shown, tmp_path / "played", seed=5)
    table = ratings.read(shown / "private" / "ratings.csv")
    first = sorted({row.assignment for row in table})[:2]
    ratings.write(shown / "private" / "ratings.csv", [row for row in table if row.assignment in first])
    assert len(score(shown, tmp_path / "score")) == 18
    before = layout.load_design(shown)
    assert study.main(["top_up", f"--study={shown}", str(tmp_path / "score" / "top_up.csv")]) == 0
    assert "nothing to add" in capsys.readouterr().out
    assert layout.load_design(shown) == before


def test_an_interrupted_top_up_can_be_followed_by_another(shown, tmp_path):
    """Killed after its images and the answer key: neither is in the way of a newer list."""
    (shown / "public" / "images" / ("0" * 24 + ".png")).write_bytes(b"of a killed top-up")
    play(shown, tmp_path / "played", seed=5)
    table = ratings.read(shown / "private" / "ratings.csv")
    hasty = table[0].assignment
    ratings.write(
        shown / "private" / "ratings.csv",
        [dataclasses.replace(r, response_ms=1.0) if r.assignment == hasty else r for r in table],
    )
    score(shown, tmp_path / "score")
    assert study.main(["top_up", f"--study={shown}", str(tmp_path / "score" / "top_up.csv")]) == 0
    assert study.main(["export", f"--study={shown}"]) == 0


def test_nothing_missing_adds_nothing(shown, tmp_path, capsys):
    play(shown, tmp_path / "played", seed=5)
    (tmp_path / "top_up.csv").write_text("study,model,key,sample,missing\n")
    before = (shown / "private" / "design.json").read_bytes()
    assert study.main(["top_up", f"--study={shown}", str(tmp_path / "top_up.csv")]) == 0
    assert "nothing to add" in capsys.readouterr().out
    assert (shown / "private" / "design.json").read_bytes() == before
