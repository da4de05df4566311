"""report.html, rows.csv and the curves: what they say, and that no name can break the page."""

import csv
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from eval.scoring import plots as fid_plots, report as fid_report, result as fid_result, tables
from eval.scoring.result import FidResult, Score, ScoredBy, ScoredSet

SET = ScoredSet(paths=("a",), kind="truth records", count=5000, part=None, sample=None, fingerprints=("f",))


def score(fid: float, **changes) -> Score:
    values = {
        "seed": 1,
        "real": SET,
        "fake": dataclasses.replace(SET, colorfulness=31.5, diversity=4.25),
        "fid": fid,
        "standard_error": 0.11,
        "fid_corrected": fid - 5,
        "fid_infinite": fid - 5.2,
        "fid_infinite_standard_error": 0.2,
        "curve": ((2500, fid + 5), (4500, fid + 0.6), (5000, fid)),
        "floor": 14.7,
        "floor_by": "measured",
        "kid": 0.00123,
        "kid_standard_error": 0.0002,
        "overlap": "none",
        "overlapping_keys": 0,
        "counts_equal": True,
        "comparable": True,
        "notes": (),
    }
    return Score(**(values | changes))


def result(*rows) -> FidResult:
    return FidResult(
        fingerprint="x",
        extractor=ScoredBy(name="inception", weights_sha256="6726825d" * 8, resize="tf1"),
        image="hi",
        image_size=(256, 256),
        correlation=fid_result.correlation(rows),
        rows=rows,
        versions={},
    )


def row(name: str, *numbers: float, step: int | None = None, bits: float | None = None, **changes):
    return fid_result.row_result(name, [score(number, **changes) for number in numbers], step=step, bits=bits)


def test_json_comes_back_equal():
    made = result(row("coltran", 19.0, 20.0, 21.0), row("grayscale", 30.0, notes=("a note",)))
    assert FidResult.from_json(made.to_json()) == made


def test_mean_deviation_and_the_papers_numbers():
    made = row("coltran", 19.0, 20.0, 21.0)
    assert (made.fid, made.fid_std, made.paper, made.paper_std) == (20.0, 1.0, 19.37, 0.09)
    assert row("mine", 19.0).fid_std is None
    assert row("mine", 19.0).paper is None


def test_correlation_of_fid_and_bits():
    rows = [row(name, fid, bits=bits) for name, fid, bits in (("a", 20, 2.1), ("b", 21, 2.2), ("c", 22, 2.3))]
    assert fid_result.correlation(rows) == pytest.approx(1.0)
    assert fid_result.correlation(rows[:2]) is None
    assert fid_result.correlation([row("a", 20), *rows[1:]]) is None


def test_csv_has_the_numbers():
    made = result(row("ColTran, best", 19.0, 20.0), row("truth", 14.7, fid_corrected=None))
    lines = list(csv.DictReader(io.StringIO(tables.rows_csv(made).decode())))
    assert [line["row"] for line in lines] == ["ColTran, best", "truth"]
    assert float(lines[0]["fid"]) == 19.5
    assert (lines[0]["samplings"], lines[1]["fid_corrected"], lines[1]["paper"]) == ("2", "", "14.68")
    steps = result(row("late", 18.0, step=900), row("early", 25.0, step=100, bits=2.5))
    lines = list(csv.DictReader(io.StringIO(tables.steps_csv(steps).decode())))
    assert [(line["step"], line["row"], line["bits"]) for line in lines] == [
        ("100", "early", "2.5"),
        ("900", "late", ""),
    ]


def test_page_is_one_file_and_names_cannot_break_it():
    made = result(row("<script>alert(1)</script>", 19.0, notes=("<b>bold</b>",)), row("truth", 14.7))
    plots = {"images": fid_plots.against_images(made), "steps": None, "bits": None}
    page = fid_report.page(made, plots, [None, None])
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page
    assert "24.32" in page  # PixColor's, from the paper
    assert page.count("<img") == 1


def test_the_papers_numbers_stand_apart_from_what_they_cannot_be_compared_with():
    nothing = {"images": None, "steps": None, "bits": None}
    mine = row("ColTran", 59.0, comparable=False, notes=("random features",))
    for rows in ([mine], [mine, row("truth", 14.7)]):
        made = result(*rows)
        page = fid_report.page(made, nothing, [None] * len(rows))
        table, folded = page.split("<details>")
        assert "59.00" in table
        assert "19.37" not in table
        assert "19.37 ± 0.09" in folded
        assert "random features" in folded
        line = next(csv.DictReader(io.StringIO(tables.rows_csv(made).decode())))
        assert (line["fid"], line["paper"], line["comparable"]) == ("59.0", "", "False")
    assert "<details>" not in fid_report.page(result(row("ColTran", 19.4)), nothing, [None])


def test_plots():
    made = result(row("a", 19.0, bits=2.1, step=1), row("b", 20.0, bits=2.2, step=2))
    for draw in (fid_plots.against_images, fid_plots.against_steps, fid_plots.against_bits):
        picture = np.asarray(Image.open(io.BytesIO(draw(made))).convert("L"))
        assert (picture < 128).mean() > 0.005
        assert draw(result(row("a", 19.0, curve=()))) is None
