"""coltran-study status and fetch against a real Turkle server: who answered what, whole or not at all."""

import csv
import json

import pytest

from human_eval import study
from human_eval.answers import ratings
from human_eval.commands import fetch
from human_eval.turkle import results, state
from human_eval.turkle.client import Client

COMMENT = '=HYPERLINK("http://x"), schön'


def run(command: str, folder, turkle, *more: str) -> int:
    return study.main([command, f"--study={folder}", f"--turkle={turkle.address}", *more])


@pytest.fixture
def published(turkle, token, exported, monkeypatch):
    """(study folder, number of its batch), published."""
    monkeypatch.setattr(Client, "wait", lambda *_: None)
    assert run("publish", exported, turkle) == 0
    return exported, batch_of(turkle, exported)


def batch_of(turkle, folder, part: str = "study") -> int:
    project = json.loads((folder / state.PATH).read_text())[part]["project"]
    [batch] = turkle.call(f"projects/{project}/")["batches"]
    return batch


def answers_file(folder, batch: int):
    return folder / "private" / f"turkle_answers_batch_{batch}.csv"


@pytest.mark.slow
def test_two_raters_answer_three_forms_which_are_fetched_ingested_and_scored(turkle, published, page_rater, capsys):
    folder, batch = published
    ann, ben = page_rater("ann"), page_rater("ben")
    capsys.readouterr()
    assert run("status", folder, turkle) == 0
    assert "0 submitted, 6 open or being done" in capsys.readouterr().out
    assert run("fetch", folder, turkle) == 0
    assert "0 of 6 assignments are submitted; there is nothing to ingest yet" in capsys.readouterr().out
    assert not answers_file(folder, batch).exists()

    ann.give_back(*ann.accept(batch))  # leaves no trace, and the form is there for her again
    first = ann.submit(*ann.accept(batch), COMMENT)
    started = ben.accept(batch)
    capsys.readouterr()
    assert run("status", folder, turkle) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[first].split() == f"form {first + 1} 1 submitted, 1 open or being done".split()
    assert "1 submitted, 5 open or being done" in lines

    ben.submit(*started)
    assert sorted([first, *ann.answer_all(batch)]) == [0, 1, 2]
    assert len(ben.answer_all(batch)) == 2
    capsys.readouterr()
    assert run("fetch", folder, turkle) == 0
    assert "6 of 6 assignments are submitted" in capsys.readouterr().out
    file = answers_file(folder, batch)
    assert file.stat().st_mode & 0o777 == 0o600
    data = file.read_bytes()
    assert run("fetch", folder, turkle) == 0
    assert file.read_bytes() == data
    with file.open(newline="") as lines:
        assert {row["Turkle.Username"] for row in csv.DictReader(lines)} == {"ann", "ben"}

    assert study.main(["ingest", f"--study={folder}", str(file)]) == 0
    rules = folder / "private" / "rules.json"
    rules.write_text(
        json.dumps(json.loads(rules.read_text()) | {"max_faster_than_shown": 1})
    )  # These raters are quick.
    assert study.main(["score", f"--study={folder}", f"--out={folder / 'score'}", "--replicates=50"]) == 0
    table = ratings.read(folder / ratings.IN_STUDY)
    assert len(table) == 18
    assert {rating.chosen for rating in table} == {"second"}
    assert all(rating.counts for rating in table)
    overall = json.loads((folder / "score" / "score.json").read_text())["models"]["colorized"]["overall"]
    assert (overall["ratings"], overall["raters"]) == (18, 2)
    assert overall["rate"] == sum(rating.truth_first is False for rating in table) / 18
    assert COMMENT.replace('"', '""') in (folder / "private" / "comments.csv").read_text()


@pytest.mark.slow
def test_results_are_found_without_the_state_file(turkle, published, page_rater):
    folder, batch = published
    page_rater("ann").answer_all(batch)
    (folder / state.PATH).unlink()
    assert run("status", folder, turkle) == run("fetch", folder, turkle) == 0
    assert answers_file(folder, batch).exists()


@pytest.mark.slow
def test_a_pilots_answers_are_files_of_their_own(turkle, published, export, page_rater, capsys):
    folder, _ = published
    export(folder, "--pilot")
    assert run("publish", folder, turkle) == 0
    batch = batch_of(turkle, folder, "pilot")
    page_rater("ann").answer_all(batch)
    assert run("fetch", folder, turkle, "--pilot") == 0
    file = folder / "private" / f"turkle_pilot_answers_batch_{batch}.csv"
    assert study.main(["ingest", f"--study={folder}", str(file)]) == 0
    assert (folder / ratings.IN_STUDY_PILOT).exists()
    assert not (folder / ratings.IN_STUDY).exists()


def test_a_deleted_assignment_is_named_and_left_out(turkle, published, page_rater, capsys):
    folder, batch = published
    page_rater("ann").answer_all(batch)
    assert run("fetch", folder, turkle) == 0
    with answers_file(folder, batch).open(newline="") as lines:
        gone, *left = [row["AssignmentId"] for row in csv.DictReader(lines)]
    turkle.query("DELETE FROM turkle_taskassignment WHERE id = ?", gone)
    capsys.readouterr()
    assert run("fetch", folder, turkle) == 0
    assert f"assignment {gone} (form " in capsys.readouterr().out
    with answers_file(folder, batch).open(newline="") as lines:
        assert [row["AssignmentId"] for row in csv.DictReader(lines)] == left


@pytest.mark.slow
def test_rejected_and_returned_assignments_are_named_and_left_out(turkle, published, page_rater, monkeypatch, capsys):
    folder, batch = published
    page_rater("ann").answer_all(batch)
    whole = results.download

    def with_statuses(*arguments):
        """As a relative of Turkle might answer, which knows more statuses."""
        header, *rows = csv.reader(whole(*arguments).data.decode().splitlines())
        statuses = ("Approved", "Rejected", "Returned")
        lines = [[*header, "AssignmentStatus"]] + [[*row, one] for row, one in zip(rows, statuses, strict=True)]
        text = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in line) + "\n" for line in lines)
        return results.parse(text.encode(), "results")

    monkeypatch.setattr(fetch, "download", with_statuses)
    capsys.readouterr()
    assert run("fetch", folder, turkle) == 0
    printed = capsys.readouterr().out
    assert "is Rejected: left out" in printed
    assert "is Returned: left out" in printed
    assert "1 of 6 assignments" in printed
    assert study.main(["ingest", f"--study={folder}", str(answers_file(folder, batch))]) == 0
    assert len(ratings.read(folder / ratings.IN_STUDY)) == 3


def test_a_cut_download_is_refused_and_the_file_before_it_stays(turkle, published, page_rater, capsys):
    """Turkle counts characters where HTTP wants bytes: letters beyond ASCII cut its results."""
    folder, batch = published
    ann = page_rater("ann")
    ann.submit(*ann.accept(batch))
    assert run("fetch", folder, turkle) == 0
    before = answers_file(folder, batch).read_bytes()
    ann.submit(*ann.accept(batch), "schön", escaped=False)
    capsys.readouterr()
    assert run("fetch", folder, turkle) == 2
    error = capsys.readouterr().err
    assert "download them on the batch's admin page" in error
    assert error.count("\n") == 1
    assert answers_file(folder, batch).read_bytes() == before


def test_nothing_is_published_yet(turkle, token, exported, capsys):
    for command in ("status", "fetch"):
        assert run(command, exported, turkle) == 2
        assert "nothing of this study is published there yet" in capsys.readouterr().err
