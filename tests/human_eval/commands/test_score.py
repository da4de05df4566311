"""coltran-study score: known raters give known rates; the files and the report say so."""

import base64
import csv
import dataclasses
import json
import pathlib
import re
import shutil
import statistics

import pytest

from human_eval import study
from human_eval.answers import key as answer_key, ratings
from human_eval.folder import opaque_files
from human_eval.scoring import plots as score_plots, report as score_report, results as score_results

FAST = ["--replicates=100"]


@pytest.fixture(autouse=True)
def _quick_plots(monkeypatch, request):
    """Plots take most of the time; the test of the report draws them."""
    if "draws" not in request.fixturenames:
        for name in ("rates_plot", "images_plot", "sittings_plot"):
            monkeypatch.setattr(score_plots, name, lambda *_: b"png")


@pytest.fixture
def draws():
    """Asks for real plots."""


@pytest.fixture
def scored(study_path, tmp_path, capsys):
    """`scored(*options of simulate)` plays raters, ingests and scores; returns (folder, printed text)."""

    def run(*options, answers="mturk.csv"):
        steps = [
            ["simulate", f"--study={study_path}", f"--out={tmp_path / 'played'}", "--seed=5", *options],
            ["ingest", f"--study={study_path}", str(tmp_path / "played" / answers)],
            ["score", f"--study={study_path}", f"--out={tmp_path / 'score'}", *FAST],
        ]
        for step in steps:
            capsys.readouterr()
            assert study.main(step) == 0, capsys.readouterr().err
        return tmp_path / "score", capsys.readouterr().out

    return run


def numbers(folder) -> dict:
    return json.loads((folder / "score.json").read_text())["models"]["colorized"]


@pytest.mark.parametrize(("rate", "expected"), [("0", 0.0), ("1", 1.0)])
def test_always_right_is_never_fooled_and_always_wrong_always(rate, expected, scored):
    folder, printed = scored(f"--rate={rate}")
    found = numbers(folder)
    assert [one["rate"] for one in found["samples"].values()] == [expected] * 3
    assert found["oracle"]["naive"]["rate"] == found["oracle"]["leave_one_rater_out"]["rate"] == expected
    name = "all_above" if expected else "never_fooled"
    assert found["categories"][name]["images"] == 12
    line = f"colorized, sample 2: {100 * expected:.1f}% +- 0.0 (image-cluster standard error; 12 images, 60 ratings)"
    assert printed.splitlines()[-1] == line


def test_a_coin_is_fooled_in_half(scored):
    folder, _ = scored("--rate=0.5", "--image_sd=0", "--sample_sd=0", "--rater_sd=0", "--raters=20")
    found = numbers(folder)
    for one in found["samples"].values():
        assert abs(one["rate"] - 0.5) <= 3 * one["standard_errors"]["iid"]
    assert abs(found["agreement"]["krippendorff_alpha"]) < 0.08
    low, high = json.loads((folder / "score.json").read_text())["order_bias"]["interval"]
    assert abs((low + high) / 2 - 0.5) <= 3 / 1.96 * (high - low) / 2  # 3 standard errors


def test_a_bias_to_the_first_image_is_seen(scored):
    folder, _ = scored("--rate=0.42", "--first_bias=1.5", "--raters=10")
    bias = json.loads((folder / "score.json").read_text())["order_bias"]
    assert bias["interval"][0] > 0.55
    # Who prefers to call the first image fake is fooled more often where the truth comes first.
    assert bias["rate_truth_first"] > bias["rate_fake_first"] + 0.2


def test_the_files(scored, study_path):
    folder, _ = scored("--rate=0.42", answers="turkle.csv")
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        *("score.json", "scores.csv", "ratings_used.csv", "top_up.csv", "report.html")
    }
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.rglob("*.*") if path.is_file())
    rows = list(csv.DictReader((folder / "scores.csv").open()))
    assert [row["sample"] for row in rows] == [
        *("0", "1", "2", "all", "oracle naive", "oracle leave_one_rater_out", "oracle leave_two_raters_out")
    ]
    used = ratings.read(folder / "ratings_used.csv")
    for row in rows[:3]:
        own = [rating.fooled for rating in used if str(rating.sample) == row["sample"]]
        assert float(row["rate"]) == pytest.approx(sum(own) / len(own))
        d_prime = numbers(folder)["samples"][row["sample"]]["d_prime"]
        assert d_prime == pytest.approx(2**0.5 * statistics.NormalDist().inv_cdf(1 - float(row["rate"])))
        assert 0 < float(row["se_raters_within_images"]) < float(row["se_two_way_bootstrap"])
    assert ratings.read(study_path / "private" / "ratings.csv") == used


def test_excluded_sittings_keep_their_reason_and_go_to_the_top_up_list(scored, study_path, tmp_path):
    scored("--rate=0.42")
    table = ratings.read(study_path / "private" / "ratings.csv")
    one = table[0].assignment
    fast = [dataclasses.replace(row, response_ms=50.0) if row.assignment == one else row for row in table]
    ratings.write(study_path / "private" / "ratings.csv", fast)
    out = tmp_path / "again"
    assert study.main(["score", f"--study={study_path}", f"--out={out}", *FAST]) == 0
    excluded = [row for row in ratings.read(out / "ratings_used.csv") if row.excluded]
    assert {row.assignment for row in excluded} == {one}
    assert {row.excluded for row in excluded} == {"too fast: median response 50 ms"}
    top_up = list(csv.DictReader((out / "top_up.csv").open()))
    assert {int(row["trial"]) for row in top_up} == {row.trial for row in excluded}
    assert {(row["ratings"], row["missing"]) for row in top_up} == {("4", "1")}
    assert json.loads((out / "score.json").read_text())["exclusions"] == {"counted": 168, "too fast": 12}
    rules = tmp_path / "rules.yaml"
    rules.write_text("min_median_response_ms: 0\n")
    assert study.main(["score", f"--study={study_path}", f"--out={out}", f"--rules={rules}", *FAST]) == 0
    assert (out / "top_up.csv").read_text().count("\n") == 1


def test_two_models_are_compared(scored, study_path, tmp_path):
    """Pairs of sample 0 become another model's: its rate, and the difference on the same images, by hand."""
    scored("--rate=0.42")
    path = study_path / "private" / "key.csv"
    lines = path.read_text().splitlines()
    renamed = [
        line.replace(",colorized,test", f",{'other' if ',0,' in line[-17:] else 'mine'},test") for line in lines[1:]
    ]
    path.write_text("\n".join([lines[0], *renamed]) + "\n")
    (study_path / "private" / "ratings.csv").unlink()
    out = tmp_path / "two"
    assert study.main(["ingest", f"--study={study_path}", str(tmp_path / "played" / "mturk.csv")]) == 0
    assert study.main(["score", f"--study={study_path}", f"--out={out}", *FAST]) == 0
    results = json.loads((out / "score.json").read_text())
    assert results["models"]["other"]["oracle"] is None  # one sample has no best
    rates = {name: results["models"][name]["overall"]["rate"] for name in ("mine", "other")}
    [between] = [one for one in results["differences"] if {one["first"], one["second"]} == {"mine", "other"}]
    assert between["difference"] == pytest.approx(rates["mine"] - rates["other"])
    assert between["images"] == 12


def test_the_report_is_one_file_and_shows_photo_then_colorization(scored, study_path, draws):
    folder, _ = scored("--rate=0.42")
    page = (folder / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "http" not in page.replace("http-equiv", "")
    assert all(b"<svg" in path.read_bytes() for path in (folder / "figures").iterdir())
    assert "These answers are made up" in page
    assert "ColTran (paper), oracle" in page
    assert "62.0 +- 0.99" in page
    plots = [base64.b64decode(data) for data in re.findall(r'class="plot"[^>]*base64,([^"]*)', page)]
    assert [plot[:4] for plot in plots] == [b"\x89PNG"] * 3
    figures = re.findall(r"<figure>(.*?)</figure>", page)
    assert len(figures) == 12
    key = answer_key.load(study_path)
    one = next(iter(key.pairs.values()))
    images = study_path / "public" / "images"
    pair = [opaque_files.decode((images / name).read_bytes()).tolist() for name in (one.truth, one.colorized)]
    for figure in figures:
        shown = re.findall(r"base64,([^\"]*)", figure)
        assert [opaque_files.decode(base64.b64decode(data)).tolist() for data in shown] == pair
    most = page.index("Most convincing")
    best = re.search(r"(\d) of 5 fooled", page[most:])[1]
    worst = re.search(r"(\d) of 5 fooled", page[page.index("Least convincing") :])[1]
    assert int(best) > int(worst)


def test_figures_and_tables_come_as_files_of_their_own(scored):
    folder, _ = scored("--rate=0.42")
    figures = sorted(path.name for path in (folder / "figures").iterdir())
    assert figures == ["images.svg", "rates.svg", "sittings.svg"]
    names = {path.stem for path in (folder / "tables").iterdir()}
    assert {"beside_the_paper", "standard_errors", "differences", "oracle_colorized", "rules"} <= names
    rows = list(csv.reader((folder / "tables" / "standard_errors.csv").open()))
    assert rows[0] == ["points (95% interval, %)", *(f"colorized, {name}" for name in (0, 1, 2, "all"))]


def test_the_report_of_one_sample_has_no_oracle_and_no_column_twice():
    one = {"rate": 0.4, "intervals": {"image_cluster": [0.35, 0.45]}, "standard_errors": {"image_cluster": 0.02}}
    for name in score_report._ERRORS:
        one["intervals"][name], one["standard_errors"][name] = [0.35, 0.45], 0.02
    results = {"models": {"m": {"samples": {"0": one}, "overall": one, "oracle": None}}}
    header, _ = score_report._standard_errors(results)
    assert header == ("points (95% interval, %)", "m, 0")
    assert "oracle" not in score_report._legend(results)
    words = score_report.in_words("m", results["models"]["m"])
    assert "40.0% of the pairs, which is less than the 50%" in words
    assert "between 35.0% and 45.0%" in words


def test_html_in_names_stays_text(study_path, tmp_path):
    path = study_path / "private" / "key.csv"
    evil = "<script>alert(1)</script>&<img src=x onerror=y>"
    path.write_text(path.read_text().replace("train/n01440764/photo_3,", f"train/{evil},"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",model", *(f"{line},<b>{evil}" for line in lines[1:])]) + "\n")
    played = tmp_path / "played"
    assert study.main(["simulate", f"--study={study_path}", f"--out={played}", "--seed=1"]) == 0
    assert study.main(["ingest", f"--study={study_path}", str(played / "mturk_api.json")]) == 0
    assert study.main(["score", f"--study={study_path}", f"--out={tmp_path / 's'}", *FAST]) == 0
    page = (tmp_path / "s" / "report.html").read_text()
    assert "<script" not in page
    assert "onerror=y>" not in page
    assert "&lt;script&gt;" in page


@pytest.fixture(scope="module")
def played_study(tmp_path_factory, _study_template):
    """A study with a sitting for each form; its table is changed by the tests."""
    folder = pathlib.Path(shutil.copytree(_study_template, tmp_path_factory.mktemp("played") / "study"))
    assert study.main(["simulate", f"--study={folder}", f"--out={folder / 'played'}", "--seed=1", "--raters=1"]) == 0
    assert study.main(["ingest", f"--study={folder}", str(folder / "played" / "mturk.csv")]) == 0
    return folder, ratings.read(folder / "private" / "ratings.csv")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("fooled", lambda row: not row.fooled, "contradict one another"),
        ("truth_first", lambda row: not row.truth_first, "contradict one another"),
        ("chosen", lambda row: {"first": "second", "second": "first"}[row.chosen], "contradict one another"),
        ("chosen", lambda row: "", "contradict one another"),
        ("trial", lambda row: 999, "is not what the answer key says"),
        ("sample", lambda row: row.sample + 1, "is not what the answer key says"),
        ("model", lambda row: "another", "is not what the answer key says"),
        ("study", lambda row: "another", "is of another study"),
        ("excluded", lambda row: "all of them", "no rating counts of 36"),
    ],
)
def test_a_table_that_does_not_fit_gets_one_line(field, value, message, played_study, tmp_path, capsys):
    folder, table = played_study
    changed = [dataclasses.replace(row, **{field: value(row)}) for row in table]
    ratings.write(tmp_path / "ratings.csv", changed)
    capsys.readouterr()
    arguments = [f"--study={folder}", f"--ratings={tmp_path / 'ratings.csv'}", f"--out={tmp_path / 's'}"]
    assert study.main(["score", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "--out=x"], "give --study FOLDER or --ratings FILE"),
        (["score", "--study=/nowhere", "--out=x"], "is no study folder"),
        (["score", "--ratings=/nowhere.csv", "--out=x"], "no such file"),
        (["score", "--ratings=x", "--out=x", "--beam_flag=1"], "no option '--beam_flag=1'"),
        (["score", "--ratings=x", "--out=x", "--seed=-1"], "expected a whole number, at least 0"),
        (["simulate", "--out=/tmp", "--seed=1"], "is not empty"),
        (["simulate", "--out=x", "--seed=1", "--rate=0.1", "--lapse=0.5"], "it lies from 0.25 to 0.75"),
        (["power", "--rate=1.5"], "expected a share from 0 to 1"),
        (["power", "--rater_sd=-1"], "expected logits from 0 to 10"),
        (["ingest", "--study=/nowhere", "x.json"], "is no study folder"),
        (["forget", "--study=/nowhere", "--rater=x"], "is no study folder"),
    ],
)
def test_mistakes_get_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert study.main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_without_a_study_the_table_is_scored(tmp_path, capsys):
    arguments = ["--seed=3", "--images=30", "--block=15", "--raters=3"]
    assert study.main(["simulate", f"--out={tmp_path / 'p'}", *arguments]) == 0
    out = tmp_path / "s"
    assert study.main(["score", f"--ratings={tmp_path / 'p' / 'ratings.csv'}", f"--out={out}", *FAST]) == 0
    assert "simulated, sample 2:" in capsys.readouterr().out.splitlines()[-1]
    first = {path.name: path.read_bytes() for path in out.rglob("*.*")}
    assert study.main(["score", f"--ratings={tmp_path / 'p' / 'ratings.csv'}", f"--out={out}", *FAST]) == 0
    assert {path.name: path.read_bytes() for path in out.rglob("*.*")} == first


def test_form_sizes_as_seen():
    table = [_row(trial) for trial in (1, 2, 2)]
    assert score_results.seen_form_sizes(table) == {4: 2}


def _row(trial):
    values = {field.name: None for field in dataclasses.fields(ratings.Rating)}
    return ratings.Rating(**values | {"form": 4, "trial": trial, "kind": "test"})


def test_nobodys_table_is_replaced(study_path, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "scores.csv").write_text("somebody's")
    assert study.main(["score", f"--study={study_path}", f"--out={tmp_path / 'mine'}", *FAST]) == 2
    assert "scores.csv: this command did not write that file" in capsys.readouterr().err
    assert (tmp_path / "mine" / "scores.csv").read_text() == "somebody's"
