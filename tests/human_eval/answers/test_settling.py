"""The same answers count once, whatever files bring them, in whatever order and spelling; nobody else's do."""

import csv
import datetime
import io
import json
import pathlib
import random
import zoneinfo

import pytest

from coltran.errors import UserError
from human_eval import study
from human_eval.answers import rounded_numbers, settling
from human_eval.commands import ingest
from human_eval.folder import rater_ids

COUNT = 72  # 12 images, 3 samples, 2 raters


@pytest.fixture
def rehearsal(study_path, tmp_path, capsys):
    out = tmp_path / "rehearsal"
    assert study.main(["simulate", f"--study={study_path}", f"--out={out}", "--seed=4", "--raters=2"]) == 0
    return out


@pytest.fixture
def run(study_path, tmp_path):
    """`run(*files, **flags)` ingests into one table and returns the summary."""
    table = tmp_path / "table" / "ratings.csv"

    def ingested(*files, **flags) -> dict:
        found = ingest.read_files([str(file) for file in files])
        return ingest.add_to_table(str(study_path), found, table, **flags)

    return ingested


SPELLINGS = {
    "epoch": lambda at: at.timestamp(),
    "milliseconds": lambda at: str(int(at.timestamp() * 1000)),
    "naive": lambda at: at.strftime("%Y-%m-%d %H:%M:%S"),
    "pandas": lambda at: str(at),
    "iso": lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    "mail": lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    "tokyo": lambda at: at.astimezone(zoneinfo.ZoneInfo("Asia/Tokyo")).isoformat(),
    "another second": lambda at: (at + datetime.timedelta(seconds=2)).isoformat(),
    "nothing": lambda at: None,
}


def spelled(api: pathlib.Path, name: str) -> pathlib.Path:
    """A copy of the service's JSON with its times in another spelling."""
    found = json.loads(api.read_text())
    for one in found["Assignments"]:
        one["SubmitTime"] = SPELLINGS[name](datetime.datetime.fromisoformat(one["SubmitTime"]))
    path = api.with_name(f"{name}.json")
    path.write_text(json.dumps(found))
    return path


def resaved(table: pathlib.Path, name: str, change) -> pathlib.Path:
    """A copy of a CSV file as some program saves it again."""
    rows = list(csv.reader(io.StringIO(table.read_text(), newline="")))
    path = table.with_name(name)
    path.write_bytes(change(rows))
    return path


def written(rows, delimiter=",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("seed", range(6))
def test_what_counted_counts_through_every_spelling_and_order(seed, rehearsal, run, tmp_path):
    """All formats, all spellings of times and tables, in a random order, in parts, again, alone or together."""
    turkle = rehearsal / "turkle.csv"
    files = [spelled(rehearsal / "mturk_api.json", name) for name in SPELLINGS]
    files += [rehearsal / name for name in ("mturk.csv", "turkle.csv", "mturk_api.json", "server.sqlite")]
    files.append(resaved(turkle, "semicolons.csv", lambda rows: written(rows, ";").encode("utf-8-sig")))
    files.append(resaved(turkle, "tabs.csv", lambda rows: ("sep=\t\n" + written(rows, "\t")).encode("utf-16")))
    files.append(resaved(turkle, "backwards.csv", lambda rows: written([rows[0], *rows[:0:-1], []]).encode()))
    files += rehearsal.glob("static/*.json")
    rng = random.Random(seed)
    rng.shuffle(files)
    while files:
        some, files = files[: (n := rng.randint(1, 5))], files[n:]
        summary = run(*some)
    assert (summary["count"], summary["raters"], summary["assignments"]) == (COUNT, 6, 6)
    assert summary["rows"] == COUNT
    assert summary["do_not_count"] == {}
    bytes_now = (tmp_path / "table" / "ratings.csv").read_bytes()
    run(
        rehearsal / "server.sqlite",
        *rehearsal.glob("*.csv"),
        *rehearsal.glob("static/*.json"),
        rehearsal / "tokyo.json",
    )
    assert (tmp_path / "table" / "ratings.csv").read_bytes() == bytes_now


def with_cells(table: pathlib.Path, name: str, **columns) -> pathlib.Path:
    """A copy of a CSV file with other cells: column -> function of (row's number, cell)."""

    def change(rows):
        places = {column: rows[0].index(column.replace("_", ".")) for column in columns}
        for number, row in enumerate(rows[1:]):
            for column, function in columns.items():
                row[places[column]] = function(number, row[places[column]])
        return written(rows).encode()

    return resaved(table, name, change)


def test_two_servers_that_number_from_one(rehearsal, run, tmp_path, study_path):
    numbers = lambda number, _: str(number + 1)  # noqa: E731
    other = tmp_path / "other"
    assert study.main(["simulate", f"--study={study_path}", f"--out={other}", "--seed=5", "--raters=2"]) == 0
    one = with_cells(rehearsal / "turkle.csv", "one.csv", AssignmentId=numbers, WorkerId=numbers)
    two = with_cells(other / "turkle.csv", "two.csv", AssignmentId=numbers, WorkerId=lambda n, _: str(6 - n))
    with pytest.raises(UserError, match=r"assignment 1 has another rater.*(one|two)\.csv.*--source NAME"):
        run(one, two)
    run(one, source="first.example.org")
    summary = run(two, source="second.example.org")
    assert (summary["raters"], summary["assignments"], summary["count"]) == (12, 12, 2 * COUNT)
    assert run(one, source="first.example.org")["count"] == 2 * COUNT
    # The same file without its server's name is still the same answers.
    summary = run(two)
    assert summary["count"] == 2 * COUNT
    assert summary["do_not_count"] == {settling.COPY: summary["do_not_count"][settling.COPY]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: one.update(Answer=one["Answer"].replace("</FreeText>", "\x0b</FreeText>")), "no whole XML"),
        (lambda one: one.update(Answer=None), "no text `Answer`"),
        (lambda one: one.pop("Answer"), "no text `Answer`"),
        (lambda one: one.update(Answer="<!DOCTYPE x SYSTEM 'y'>" + one["Answer"]), "document type|no whole XML"),
    ],
)
def test_one_bad_answer_is_refused_and_not_the_file(change, reason, rehearsal, run):
    found = json.loads((rehearsal / "mturk_api.json").read_text())
    change(found["Assignments"][3])
    (rehearsal / "bad.json").write_text(json.dumps(found))
    summary = run(rehearsal / "bad.json")
    assert summary["count"] == COUNT - 12
    [problem] = summary["problems"]["unreadable submissions"]["first"]
    assert any(word in problem for word in reason.split("|"))


@pytest.mark.parametrize("status", ["Rejected", "REJECTED", "Returned", "Timed-Out"])
def test_what_the_service_did_not_accept_is_named_and_ruled_out(status, rehearsal, run, study_path, capsys):
    statuses = with_cells(
        rehearsal / "turkle.csv", "s.csv", AssignmentStatus=lambda number, _: status if number < 2 else "Approved"
    )
    summary = run(statuses)
    assert summary["count"] == COUNT - 24
    assert f"24 x assignment is {status.capitalize()}" in ingest.describe(summary)
    rules = study_path / "private" / "rules.json"
    found = json.loads(rules.read_text())
    assert (found["count_rejected"], found["count_returned"]) == (False, False)
    rules.write_text(json.dumps(found | {"count_rejected": True, "count_returned": True}))
    assert run(statuses)["count"] == COUNT


def test_a_rejection_may_become_an_approval_and_never_the_other_way(rehearsal, run):
    files = [
        with_cells(rehearsal / "turkle.csv", f"{word}.csv", AssignmentStatus=lambda *_, word=word: word)
        for word in ("Rejected", "Approved")
    ]
    assert run(*files)["count"] == run(*files[::-1])["count"] == COUNT


def test_fewer_ratings_never_replace_more_unless_told(rehearsal, run, study_path, tmp_path):
    run(rehearsal / "turkle.csv")
    table = tmp_path / "table" / "ratings.csv"
    before = table.read_bytes()
    rejected = with_cells(rehearsal / "turkle.csv", "r.csv", AssignmentStatus=lambda *_: "Rejected")
    with pytest.raises(
        UserError, match="0 ratings would count instead of 72, most because of 'assignment is Rejected'"
    ):
        run(rejected)
    assert table.read_bytes() == before
    assert run(rejected, allow_fewer=True)["count"] == 0
    assert ingest.kept_path(table).read_bytes() == before


@pytest.mark.parametrize(
    "spellings",
    [
        ("ann", "Ann"),
        ("Zoë", "Zoe\u0308"),
        ("ann b", " ann  b "),
        ("ann", "a\u200bnn"),
        ("ann1", "ａｎｎ１"),
        ("123456", "123456.0"),
    ],
)
def test_spellings_of_one_name_are_one_rater(spellings, study_path, rehearsal, tmp_path, capsys):
    files = []
    for form, name in enumerate(spellings):
        [path] = [p for p in rehearsal.glob("static/*.json") if f"form{form}-simulated-rater-000{form + 1}" in p.name]
        files.append(tmp_path / f"{form}.json")
        files[-1].write_text(json.dumps(json.loads(path.read_text()) | {"rater": name}))
    assert study.main(["ingest", f"--study={study_path}", *map(str, files)]) == 0
    said = capsys.readouterr().out
    assert "24 ratings of 1 raters in 2 sittings; 12 test ratings count" in said
    assert "these names are taken for one rater: " in said
    assert all(repr(name.strip()) in said for name in spellings)


def test_names_that_differ_stay_apart():
    names = ["ann", "anna", "an", "Ánn", "12345", "12346", "1.0", "ann.0", "A B", "AB", "ß"]
    assert len({rater_ids.canonical(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    "ids",
    [
        ["4.91511E+12"] * 3,
        ["4,91511E+12", "123"],
        ["1e10", "2e10"],
        ["4915112300000", "4915112400000", "4915112500000"],
        ["1234567890123450", "1234567890123460", "1234567890123450000"],
        ["4915112300000.0", "4915112400000.0"],
    ],
)
def test_rounded_numbers_are_refused(ids):
    with pytest.raises(UserError, match=r"spreadsheet.*download the file again"):
        rounded_numbers.refuse_rounded_numbers({"WorkerId": ids}, "f.csv")


@pytest.mark.parametrize(
    "ids",
    [
        ["4915112345000", "4915112345001", "4915112345002"],
        ["1", "2", "10", "100000"],
        ["A2E10"],
        ["", ""],
        ["1E5XYZ", "ann"],
    ],
)
def test_whole_numbers_and_names_are_not(ids):
    rounded_numbers.refuse_rounded_numbers({"WorkerId": ids}, "f.csv")


def test_a_table_of_the_first_version_goes_on(rehearsal, run, study_path, tmp_path):
    """Other hashes for names in capitals, and fewer columns."""
    capitals = with_cells(rehearsal / "turkle.csv", "c.csv", WorkerId=lambda _, cell: cell.upper())
    run(capitals)
    table = tmp_path / "table" / "ratings.csv"
    salt = rater_ids.salt(study_path)
    text = table.read_text()
    for number in range(1, 7):
        name = f"simulated-rater-{number:04d}"
        text = text.replace(rater_ids.rater(salt, name), rater_ids.hashed(salt, "rater", name.upper()))
    table.write_text("\n".join(line.rsplit(",", 5)[0] for line in text.splitlines()) + "\n")
    assert run(capitals)["count"] == COUNT
    assert run(capitals)["raters"] == 6
