"""Raters' files against the answer key: every format, every trap, and nothing guessed."""

import csv
import dataclasses
import io
import json

import pytest

from coltran.errors import UserError
from human_eval import study
from human_eval.answers import files as answer_files, join, key as answer_key, ratings, submissions
from human_eval.commands import ingest
from human_eval.folder import rater_ids, spreadsheet


def answers(study_path, form=0, rater="ann", *, calls="colorized", finished="2026-06-01T10:00:00.000Z") -> dict:
    """A page's result, made from key.csv alone: this rater calls one role fake in every trial."""
    trials: dict[str, dict] = {}
    for row in csv.DictReader((study_path / "private" / "key.csv").open()):
        if int(row["form"]) == form:
            trials.setdefault(row["trial"], {})[row["role"]] = row["file"]
    shown = [
        {
            "trial": int(trial),
            "shown": sorted(files.values()),
            "fake": files[calls],
            "response_ms": 700.5,
            "restarts": 0,
            "interrupted": False,
            "exposures": [{"planned_ms": 1000, "actual_ms": ms, "frame_ms": 16.7} for ms in (1000.2, 999.1)],
        }
        for trial, files in sorted(trials.items())
    ]
    return {"form": form, "rater": rater, "finished": finished, "trials": shown}


@pytest.fixture
def ingested(study_path, tmp_path):
    """`ingested(result, ...)` writes the results as files, ingests them, and returns (table, summary)."""

    def run(*results):
        files = []
        for number, result in enumerate(results):
            files.append(tmp_path / f"answers{number}.json")
            files[-1].write_text(json.dumps(result))
        out = study_path / "private" / "ratings.csv"
        summary = ingest.ingest(str(study_path), list(map(str, files)), out)
        return ratings.read(out), summary

    return run


def test_a_rater_who_always_sees_the_truth_is_never_fooled(study_path, ingested):
    table, summary = ingested(answers(study_path, calls="colorized"), answers(study_path, 1, "bob", calls="truth"))
    assert {row.fooled for row in table if row.form == 0} == {False}
    assert {row.fooled for row in table if row.form == 1} == {True}
    roles = {row["file"]: row["role"] for row in csv.DictReader((study_path / "private" / "key.csv").open())}
    by_trial = {t["trial"]: t for form in (0, 1) for t in answers(study_path, form)["trials"]}
    for row in table:
        shown = by_trial[row.trial]["shown"]
        assert row.truth_first is (roles[shown[0]] == "truth")
        called = shown[ratings.PLACES.index(row.chosen)]
        assert roles[called] == ("colorized" if row.form == 0 else "truth")
    assert (summary["rows"], summary["count"], summary["do_not_count"]) == (24, 24, {})
    assert {(row.response_ms, row.first_ms, row.second_ms) for row in table} == {(700.5, 1000.2, 999.1)}


def test_the_logged_order_decides_not_the_listed_one(study_path, ingested):
    result = answers(study_path)
    turned = json.loads(json.dumps(result)) | {"rater": "bob"}
    for trial in turned["trials"]:
        trial["shown"].reverse()
    table, summary = ingested(result, turned)
    first, second = ([row for row in table if row.rater == who] for who in sorted({row.rater for row in table}))
    assert all(a.truth_first is not b.truth_first and a.chosen != b.chosen for a, b in zip(first, second, strict=True))
    assert not any(row.fooled for row in table)
    # Both are orders that the page would not have made; said, but not acted on.
    assert summary["problems"]["submissions whose order is not the page's flip"]["count"] == 2


def test_a_key_with_its_roles_swapped_turns_every_answer(study_path, ingested):
    result = answers(study_path)
    path = study_path / "private" / "key.csv"
    swap = {"truth": "colorized", "colorized": "truth"}
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    path.write_bytes(
        spreadsheet.csv_bytes(list(rows[0]), [[swap.get(cell, cell) for cell in row.values()] for row in rows])
    )
    assert {row.fooled for row in ingested(result)[0]} == {True}


# Flips of trials 0 to 23, computed by page/flips.js's `hash` in a JavaScript engine.
FLIPS = {
    "r1": "100010101111001010111011",
    "Ann Example": "011000111111001011110110",
    "ännchen": "100001000010011001001111",
}


@pytest.mark.parametrize("rater", FLIPS)
def test_the_flip_is_the_pages(rater):
    assert "".join(str(int(rater_ids.is_flipped(rater, trial))) for trial in range(24)) == FLIPS[rater]


@pytest.fixture
def rehearsal(study_path, tmp_path, capsys):
    out = tmp_path / "rehearsal"
    assert study.main(["simulate", f"--study={study_path}", f"--out={out}", "--seed=4", "--raters=2"]) == 0
    return out


def test_every_format_gives_the_same_table(study_path, rehearsal, tmp_path, capsys):
    files = {"static": sorted(rehearsal.glob("static/*.json"))}
    files |= {kind: [rehearsal / name] for kind, name in NAMES.items()}
    tables = {}
    for kind, names in files.items():
        out = tmp_path / kind / "ratings.csv"
        assert study.main(["ingest", f"--study={study_path}", f"--out={out}", *map(str, names)]) == 0
        tables[kind] = ratings.read(out)
        assert {row.source for row in tables[kind]} == {f"simulated {kind}"}
        if kind != "static":
            assert {row.assignment for row in tables[kind]} == {f"A{n:06d}" for n in range(1, 7)}
    bare = [
        [dataclasses.replace(row, source="", assignment="") for row in sorted(t, key=lambda r: (r.rater, r.trial))]
        for t in tables.values()
    ]
    assert len(bare[0]) == 72
    assert all(other == bare[0] for other in bare)
    assert "problems" not in capsys.readouterr().out
    assert json.loads((tmp_path / "static" / "ingest.json").read_text())["problems"] == {}


NAMES = {
    "mturk-csv": "mturk.csv",
    "turkle-csv": "turkle.csv",
    "mturk-api": "mturk_api.json",
    "server": "server.sqlite",
}


@pytest.mark.parametrize("name", NAMES.values())
def test_again_or_in_parts_or_in_another_format_the_bytes_stay(name, study_path, rehearsal, tmp_path):
    def bytes_after(*files):
        ingest.ingest(str(study_path), [str(rehearsal / file) for file in files], tmp_path / "ratings.csv")
        return (tmp_path / "ratings.csv").read_bytes(), (tmp_path / "ingest.json").read_bytes()

    once = bytes_after(name)
    assert bytes_after(name) == once
    assert bytes_after(name, name) == once
    rows = ratings.read(tmp_path / "ratings.csv")
    bytes_after(*(other for other in NAMES.values() if other != name))
    assert len(ratings.read(tmp_path / "ratings.csv")) == len(rows)  # the same sittings, in whatever format


def test_the_order_of_ingesting_decides_nothing(study_path, tmp_path):
    """Two sittings with the same images: the earlier one counts, whichever file comes first."""
    files = []
    for form, hour in ((0, 11), (1, 10)):
        files.append(tmp_path / f"{form}.json")
        files[-1].write_text(json.dumps(answers(study_path, form, finished=f"2026-06-01T{hour}:00:00Z")))
    tables = []
    for name, order in (("a", files), ("b", files[::-1])):
        for file in order:
            ingest.ingest(str(study_path), [str(file)], tmp_path / name / "ratings.csv")
        tables.append((tmp_path / name / "ratings.csv").read_bytes())
    assert tables[0] == tables[1]
    rows = ratings.read(tmp_path / "a" / "ratings.csv")
    assert {(row.form, row.excluded) for row in rows} == {(1, ""), (0, join.REPEAT)}


def test_made_up_answers_never_mix_with_real_ones(study_path, rehearsal, tmp_path, capsys):
    (tmp_path / "real.json").write_text(json.dumps(answers(study_path)))
    assert study.main(["ingest", f"--study={study_path}", str(tmp_path / "real.json")]) == 0
    before = (study_path / "private" / "ratings.csv").read_bytes()
    assert study.main(["ingest", f"--study={study_path}", str(rehearsal / "mturk.csv")]) == 2
    said = capsys.readouterr().err
    assert f"{rehearsal / 'mturk.csv'}, line 2: would mix made-up answers of `simulate` with real ones" in said
    assert (study_path / "private" / "ratings.csv").read_bytes() == before
    both = [f"--out={tmp_path / 'new.csv'}", str(rehearsal / "server.sqlite"), str(tmp_path / "real.json")]
    assert study.main(["ingest", f"--study={study_path}", *both]) == 2
    said = capsys.readouterr().err
    assert f"{rehearsal / 'server.sqlite'}, sitting A000001: would mix" in said
    assert f"(of {tmp_path / 'real.json'})" in said


@pytest.mark.parametrize("rater", ["simulated-rater-0001", "simulated", "simulated-rater-"])
def test_no_name_makes_a_rater_a_made_up_one(rater, study_path, ingested):
    table, _ = ingested(answers(study_path), answers(study_path, 1, rater))
    assert {row.source for row in table} == {"static"}
    assert len({row.rater for row in table}) == 2


def test_half_a_surrogate_pair_harms_nothing(study_path, tmp_path, capsys):
    result = answers(study_path, rater="ann\ud800") | {"assignment": "A\udfff\n1" + "x" * 99}
    result["trials"][0]["shown"] = ["\ud800", "b"]
    (tmp_path / "a.json").write_text(json.dumps(result))
    assert study.main(["ingest", f"--study={study_path}", str(tmp_path / "a.json")]) == 0
    assert "1 x unknown trial; first: assignment A? 1xxx" in capsys.readouterr().out


def test_what_cannot_count_is_named_and_kept(study_path, ingested):
    first = answers(study_path, 0, "ann")
    for place, change in enumerate(
        [
            {"fake": None},
            {"fake": "unset"},
            {"trial": 999},
            {"shown": ["other.png", "more.png"]},
            {"fake": "elsewhere.png"},
            {"interrupted": True, "restarts": 1},
            {"response_ms": "fast", "exposures": "none"},
        ]
    ):
        first["trials"][place] |= change
    again = answers(study_path, 1, "ann", finished="2026-06-01T11:00:00Z")  # the same images, other samples
    nobody = answers(study_path, 2, "")
    other = answers(study_path, 1, "bob") | {"form": 2}
    table, summary = ingested(first, again, nobody, other)
    reasons = {name: found["count"] for name, found in summary["do_not_count"].items()}
    assert reasons[join.UNSET] == 2
    assert reasons[join.UNKNOWN_TRIAL] == 2
    assert reasons[join.UNKNOWN_ANSWER] == 1
    assert reasons[join.NO_RATER] == 12
    assert reasons[join.OTHER_FORM] == 12
    assert reasons[join.REPEAT] == 7  # the images that ann's first form really rated
    assert len(table) == summary["rows"] == 48
    assert summary["count"] == 48 - sum(reasons.values())
    assert {row.fooled for row in table if row.excluded == join.UNSET} == {None}  # never "the first"
    [voided] = [row for row in table if row.voided]
    assert voided.repeated
    assert not voided.excluded  # the study's rules decide on it
    assert any(row.response_ms is None and row.first_ms is None and row.chosen for row in table)
    assert "2 x unset answer; first: assignment" in ingest.describe(summary)


def test_an_assignment_that_two_people_or_two_answers_share_does_not_count(study_path, ingested):
    one = answers(study_path, 0, "ann") | {"assignment": "A1"}
    two = answers(study_path, 1, "bob") | {"assignment": "A1"}
    changed = answers(study_path, 2, "eve") | {"assignment": "A2"}
    contradiction = answers(study_path, 2, "eve", calls="truth") | {"assignment": "A2"}
    table, _ = ingested(one, two, changed, contradiction)
    assert [row.excluded for row in table] == [join.REUSED] * 48


def test_names_become_salted_hashes(study_path, ingested):
    table, _ = ingested(answers(study_path, rater="Ann Example"))
    assert len({row.rater for row in table}) == 1
    assert b"Ann" not in ratings.to_csv(table)
    assert (study_path / "private" / "rater_salt").stat().st_mode & 0o777 == 0o600
    assert rater_ids.hashed(b"other salt", "rater", "Ann Example") != table[0].rater


def test_forget_deletes_one_rater_for_good(study_path, rehearsal, capsys):
    files = [str(path) for path in sorted(rehearsal.glob("static/*.json"))]
    assert study.main(["ingest", f"--study={study_path}", *files]) == 0
    before = ratings.read(study_path / "private" / "ratings.csv")
    assert study.main(["forget", f"--study={study_path}", "--rater=simulated-rater-0002"]) == 0
    left = ratings.read(study_path / "private" / "ratings.csv")
    assert len(before) - len(left) == 12
    assert study.main(["ingest", f"--study={study_path}", *files]) == 0
    assert ratings.read(study_path / "private" / "ratings.csv") == left
    gone = {row.rater for row in before} - {row.rater for row in left}
    assert gone == {rater_ids.hashed(rater_ids.salt(study_path), "rater", "simulated-rater-0002")}
    capsys.readouterr()
    assert study.main(["forget", f"--study={study_path}", "--rater=simulated-rater-0002"]) == 2
    assert "has no rating of the rater 'simulated-rater-0002'" in capsys.readouterr().err


def test_columns_sorted_as_text_and_an_unset_place(study_path, rehearsal, tmp_path):
    rows = list(csv.reader((rehearsal / "mturk.csv").open(newline="")))
    header = rows[0]
    assert header.index("Answer.trial10") < header.index("Answer.trial2")
    assert all(len(row) == len(header) - 2 for row in rows[1:])
    rows[1][header.index("Answer.trial2")] = "unset"
    rows[3][header.index("Answer.trial2")] = ""
    rows[2][header.index("Answer.trial3")] = '{"trial": 1'  # one rater's broken answer does not stop the others
    broken = tmp_path / "mturk.csv"
    with broken.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    summary = ingest.ingest(str(study_path), [str(broken)], tmp_path / "ratings.csv")
    assert summary["do_not_count"][join.UNSET]["count"] == 2
    assert summary["problems"]["unreadable submissions"]["count"] == 1
    key = answer_key.load(study_path)
    for unset in (row for row in ratings.read(tmp_path / "ratings.csv") if row.excluded == join.UNSET):
        assert unset.trial == key.listed[unset.form][1][0]  # the second of its form, by its place
    assert summary["rows"] == 72 - 12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon Oct 30 19:42:32 PDT 2017", "2017-10-31T02:42:32Z"),
        ("Tue Jan 02 00:00:00 PST 2018", "2018-01-02T08:00:00Z"),
        ("Fri Mar 06 09:08:07 UTC 2026", "2026-03-06T09:08:07Z"),
        ("2026-06-01T10:00:00.123Z", "2026-06-01T10:00:00Z"),
        ("2026-06-01 10:00:00-07:00", "2026-06-01T17:00:00Z"),
        ("2026-06-01 10:00:00", ""),
        ("Fri Mar 06 09:08:07 XYZ 2026", ""),
        ("0001-01-01T00:00:00+14:00", ""),
        ("yesterday", ""),
    ],
)
def test_times_are_utc_or_nothing(text, expected):
    assert submissions.utc_time(text) == expected


def test_another_studys_answers_table_or_key_are_refused(study_path, tmp_path, capsys, new_study):
    other = new_study(tmp_path / "other", secret=b"another")
    (tmp_path / "a.json").write_text(json.dumps(answers(study_path)))
    (tmp_path / "b.json").write_text(json.dumps(answers(other)))
    assert study.main(["ingest", f"--study={other}", str(tmp_path / "a.json")]) == 2
    assert "none of its 12 answers belongs to" in capsys.readouterr().err
    out = f"--out={tmp_path / 'ratings.csv'}"
    assert study.main(["ingest", f"--study={study_path}", out, str(tmp_path / "a.json")]) == 0
    assert study.main(["ingest", f"--study={other}", out, str(tmp_path / "b.json")]) == 2
    assert "holds ratings of another study" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("truth", "real"), "expected one file of each role"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "expected one file of each role"),
        (lambda text: "a,b\n1,2\n", "expected the columns file, role"),
        (lambda text: text.replace(",0,", ",zero,"), "disagree|whole numbers"),
    ],
)
def test_a_damaged_key_gets_one_line(change, message, study_path):
    path = study_path / "private" / "key.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=message):
        answer_key.load(study_path)


def test_a_key_with_models_and_kinds(study_path, ingested):
    path = study_path / "private" / "key.csv"
    lines = path.read_text().splitlines()
    kinds = {trial["trial"]: "catch" for trial in answers(study_path)["trials"][:2]}
    rows = [f"{line.rsplit(',', 2)[0]},=cmd|x,{kinds.get(int(line.split(',')[3]), 'test')}" for line in lines[1:]]
    path.write_text("\n".join([lines[0], *rows]) + "\n")
    table, summary = ingested(answers(study_path))
    assert summary["kinds"] == {"catch": 2, "test": 10}
    assert {row.model for row in table} == {"=cmd|x"}
    assert b",'=cmd|x," in (study_path / "private" / "ratings.csv").read_bytes()


def test_formats_are_those_of_the_modules():
    assert set(answer_files.FORMATS) == {"static", *NAMES}
