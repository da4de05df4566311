"""coltran-study export: a page for three places, and nothing in it that tells."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from human_eval import study
from human_eval.commands import export
from human_eval.folder import layout
from human_eval.page import mturk_questions

IMAGES = "--image_url=https://images.example.org/study"


@pytest.fixture
def designed(new_study, tmp_path):
    return new_study(tmp_path / "a_study", images=8, block=4, practice=2, catch=0.25)


def exported(folder, *arguments) -> dict[str, bytes]:
    assert study.main(["export", f"--study={folder}", *arguments]) == 0
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def inside(page: bytes) -> dict:
    """What the page knows of the study."""
    return json.loads(page.decode().partition('id="study">')[2].partition("</script>")[0])


def roles(folder) -> dict[str, dict[str, str]]:
    return {row["file"]: row for row in csv.DictReader((folder / "private" / "key.csv").open())}


def check_forms(forms, folder, design):
    key = roles(folder)
    assert [form["form"] for form in forms] == [form.number for form in design.forms]
    for shown, form in zip(forms, design.forms, strict=True):
        for pair, trial in zip(shown["trials"], form.trials, strict=True):
            assert {key[name]["role"] for name in pair["images"]} == {"truth", "colorized"}
            assert {key[name]["trial"] for name in pair["images"]} == {str(pair["trial"])} == {str(trial.id)}
            # Test and catch trials look alike; practice alone says which one is fake.
            assert set(pair) == {"trial", "images"} | ({"practice", "fake"} if trial.kind == "practice" else set())
            assert pair.get("fake") in (None, next(n for n in pair["images"] if key[n]["role"] == "colorized"))


def test_the_static_page(designed):
    files = exported(designed)
    design = layout.load_design(designed)
    known = inside(files["public/index.html"])
    assert (known["mode"], known["images"], known["pilot"]) == ("static", "images/", False)
    check_forms(known["forms"], designed, design)
    assert len({path.stat().st_mtime_ns for path in (designed / "public").rglob("*")}) == 1


def test_the_batch_holds_every_form_as_text(designed):
    files = exported(designed, "--format=turkle", IMAGES)
    design = layout.load_design(designed)
    rows = list(csv.DictReader(io.StringIO(files["turkle/batch.csv"].decode())))
    forms = []
    for row in rows:
        assert re.fullmatch(r"[0-9a-f: ]+", row["trials"])  # nothing that any service escapes
        trials = []
        for word in row["trials"].split():
            trial, first, second, *fake = word.split(":")
            pair = {"trial": int(trial), "images": [f"{first}.png", f"{second}.png"]}
            trials.append(pair | ({"practice": True, "fake": pair["images"][int(fake[0])]} if fake else {}))
        forms.append({"form": int(row["form"]), "trials": trials})
    check_forms(forms, designed, design)
    template = files["turkle/template.html"].decode()
    assert set(re.findall(r"\$\{(.*?)\}", template)) == {"form", "trials"}
    assert inside(files["turkle/template.html"])["forms"] == []
    assert inside(files["turkle/template.html"])["images"] == "https://images.example.org/study/"
    assert "<form" not in template  # the service brings its own


def test_questions_for_mechanical_turk(designed):
    page_url = "https://pages.example.org/index.html?study=1&wave=2"
    files = exported(designed, "--format=mturk", IMAGES, f"--page_url={page_url}")
    design = layout.load_design(designed)
    forms = []
    for number in range(len(design.forms)):
        question = ElementTree.fromstring(files[f"mturk/questions/form-{number + 1:04d}.xml"])
        space = "{http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2011-11-11/HTMLQuestion.xsd}"
        assert [child.tag for child in question] == [f"{space}HTMLContent", f"{space}FrameHeight"]
        [form] = inside(question[0].text.encode())["forms"]
        forms.append(form)
        external = ElementTree.fromstring(files[f"mturk/external/form-{number + 1:04d}.xml"])
        assert external[0].text == f"{page_url}&form={number + 1}"
    check_forms(forms, designed, design)
    assert len(files["mturk/questions/form-0001.xml"]) <= 65_535


def test_a_question_of_the_paper_s_size_fits(new_study, tmp_path):
    folder = new_study(tmp_path / "study", images=50, samples=1, block=50, practice=10, catch=0.1)
    files = exported(folder, "--format=mturk", IMAGES)
    assert 0 < len(files["mturk/questions/form-0001.xml"]) < 0.8 * 65_535  # room for the team's own texts


def test_a_question_that_is_too_long_is_refused(new_study, tmp_path, capsys):
    folder = new_study(tmp_path / "study", images=600, samples=1, block=600)
    assert study.main(["export", f"--study={folder}", "--format=mturk", IMAGES]) == 2
    err = capsys.readouterr().err
    assert "the service takes 65,535" in err
    assert err.count("\n") == 1


def test_the_team_s_texts_are_shown_and_escaped(designed, tmp_path):
    (tmp_path / "consent.txt").write_text("We <store> your\nanswers.\n\nSecond & last.\n")
    (tmp_path / "how.html").write_text("<p>Look <b>well</b>.</p>")
    texts = [f"--consent={tmp_path / 'consent.txt'}", f"--instructions={tmp_path / 'how.html'}"]
    page = exported(designed, *texts, "--title=Fake </script> & <real>")["public/index.html"].decode()
    assert "<p>We &lt;store&gt; your\nanswers.</p>\n<p>Second &amp; last.</p>" in page
    assert "<p>Look <b>well</b>.</p>" in page
    assert "Fake &lt;/script&gt; &amp; &lt;real&gt;</title>" in page
    assert page.count("</script>") == 2


def test_the_pilot_is_marked(designed):
    assert inside(exported(designed, "--pilot")["public/index.html"])["pilot"] is True


def test_an_export_again_gives_the_same_bytes(designed):
    assert exported(designed, "--format=mturk", IMAGES) == exported(designed, "--format=mturk", IMAGES)


def test_the_team_s_texts_are_audited(designed, tmp_path, capsys):
    key = layout.load_design(designed).forms[0].trials[-1].key
    (tmp_path / "consent.txt").write_text(f"Such as {key}.")
    assert study.main(["export", f"--study={designed}", f"--consent={tmp_path / 'consent.txt'}"]) == 2
    assert f"holds the source name {key.rpartition('/')[2]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format=mturk"], "needs --image_url"),
        (["--image_url=http://images.example.org/"], "expected an address such as https"),
        (["--image_url=https://x/${form}"], "expected an address such as https"),
        (["--format=mturk", IMAGES, "--page_url=ftp://x/"], "--page_url ftp://x/: expected an address"),
        (["--consent=/nowhere.txt"], "/nowhere.txt: expected a .txt or .html file"),
        (["--title=${mine}", "--format=turkle", IMAGES], "${mine}, which the service would fill in"),
        (["--title=]]>", "--format=mturk", IMAGES], ""),
        (["--study=/nowhere"], "/nowhere: is no study folder"),
        (["--direct_num_workers=2"], "no option '--direct_num_workers=2'"),
    ],
)
def test_mistakes_get_one_line(arguments, message, designed, capsys):
    status = study.main(["export", f"--study={designed}", *arguments])
    err = capsys.readouterr().err
    assert (status, err.count("\n")) == ((2, 1) if message else (0, 0))
    assert message in err


def test_a_text_cannot_end_the_question():
    with pytest.raises(Exception, match="which ends the question's page"):
        mturk_questions.html_question("<p>]]></p>")


def test_an_unfinished_design_is_not_exported(designed, capsys):
    (designed / "COMPLETED").unlink()
    assert study.main(["export", f"--study={designed}"]) == 2
    assert "run the same `coltran-study design` again" in capsys.readouterr().err


def test_only_the_format_asked_for_is_written_anew(designed):
    exported(designed, "--format=turkle", IMAGES)
    (designed / "turkle" / "results.csv").write_text("kept here by somebody")
    (designed / "turkle" / "batch.csv").write_text("old")
    exported(designed)
    assert (designed / "turkle" / "batch.csv").read_text() == "old"
    exported(designed, "--format=turkle", IMAGES)
    assert (designed / "turkle" / "batch.csv").read_text() != "old"
    assert (designed / "turkle" / "results.csv").read_text() == "kept here by somebody"
    assert export.FORMATS == ("static", "mturk", "turkle")
