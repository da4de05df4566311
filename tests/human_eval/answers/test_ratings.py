"""The table of ratings on disk: what is written is read, and no spreadsheet runs it."""

import csv
import dataclasses
import io

import pytest
from hypothesis import given, settings, strategies as st

from coltran.errors import UserError
from human_eval.answers import ratings
from human_eval.answers.ratings import Rating
from human_eval.folder import spreadsheet

TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.from_regex(r"'*[=+\-@\t\r\n].*", fullmatch=True)
BY_TYPE = {
    "str": TEXT,
    "bool": st.booleans(),
    "int | None": st.none() | st.integers(0, 2**40),
    "bool | None": st.none() | st.booleans(),
    "float | None": st.none() | st.floats(0, 1e9),
}
FIELDS = {field.name: BY_TYPE[field.type] for field in dataclasses.fields(Rating)}
FIELDS |= {"kind": st.sampled_from(ratings.KINDS), "chosen": st.sampled_from(("", *ratings.PLACES))}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.builds(Rating, **FIELDS), max_size=4))
def test_what_is_written_is_read_and_no_cell_is_a_formula(table):
    data = ratings.to_csv(table)
    assert ratings.from_csv(data, "t.csv") == table
    for row in csv.reader(io.StringIO(data.decode(), newline="")):
        assert not [cell for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")]


def test_a_formula_stands_behind_an_apostrophe():
    assert spreadsheet.escape_formula('=HYPERLINK("x")') == '\'=HYPERLINK("x")'
    assert spreadsheet.escape_formula("'=1") == "''=1"  # so that reading it back does not lose the apostrophe
    assert spreadsheet.escape_formula("it's") == "it's"


GOOD = Rating(
    study="s",
    rater="r",
    assignment="a",
    form=0,
    trial=1,
    kind="test",
    model="m",
    key="k",
    sample=0,
    truth_first=True,
    chosen="first",
    fooled=True,
    response_ms=500.0,
    first_ms=1000.0,
    second_ms=1000.0,
    voided=False,
    repeated=False,
    submitted="2026-01-01T00:00:00Z",
    source="static",
    excluded="",
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[: len(data) // 2 + 90], "cut or edited"),
        (lambda data: b"a,b\n1,2\n", "is no table of ratings"),
        (lambda data: data.replace(b",true,", b",perhaps,"), "line 2: column truth_first holds 'perhaps'"),
        (lambda data: data.replace(b",test,", b",exam,"), "kind 'exam'"),
        (lambda data: b"\xff\xfe\x00", "is no whole CSV file in UTF-8"),
        (lambda data: b"", "is no table of ratings"),
        (lambda data: data + b'"open', "is no whole CSV file"),
    ],
)
def test_a_damaged_table_gets_one_line(change, message):
    with pytest.raises(UserError, match=message) as caught:
        ratings.from_csv(change(ratings.to_csv([GOOD])), "t.csv")
    assert "\n" not in str(caught.value)


def test_the_table_is_private(tmp_path):
    ratings.write(tmp_path / "t.csv", [GOOD])
    assert (tmp_path / "t.csv").stat().st_mode & 0o777 == 0o600
