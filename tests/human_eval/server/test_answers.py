"""The database as a file of answers: what counts, what is only named, pilots apart, and forgetting."""

import json
import os
import shutil

import pytest

from coltran.errors import UserError
from human_eval import study
from human_eval.answers import files as answer_files, ratings
from human_eval.commands import ingest, serve
from human_eval.folder import rater_ids
from human_eval.server import database as server_database


def run(*arguments) -> int:
    return study.main([str(argument) for argument in arguments])


@pytest.fixture
def half(rig):
    """Bob and cat got forms, ann answered once; cat finished (calls the first one fake), bob is left to the test."""
    names = {name: rig.enter(name) for name in ("ann", "bob", "cat")}
    names["ann"].answer(0)
    assert names["cat"].do_all().status_code == 200
    return rig, names


def database(rig):
    return rig.folder / "private" / "server.sqlite"


def test_finished_sittings_count_and_the_others_are_named(half, listed, capsys):
    rig, pages = half
    pairs = listed(rig.design)
    for place, trial in enumerate(pages["bob"].trials):
        pages["bob"].answer(place, fake=pairs[trial["trial"]][1])
    assert pages["bob"].finish().status_code == 200
    # The server is running: its newest rows stand in the log beside the file.
    assert run("ingest", f"--study={rig.folder}", database(rig)) == 0
    out = capsys.readouterr().out
    assert "1 x unfinished sittings" in out
    assert "running, 1 answers that do not count" in out
    table = ratings.read(rig.folder / "private" / "ratings.csv")
    assert {row.source for row in table} == {"server"}
    assert {row.excluded for row in table} == {""}
    assert len({row.rater for row in table}) == 2
    assert sum(row.counts for row in table) == 8
    assert len(table) == len(pages["bob"].trials) + len(pages["cat"].trials)
    by_form = {page.form: name for name, page in pages.items()}
    roles = {"bob": lambda row: row.fooled is False, "cat": lambda row: row.chosen == "first"}
    assert all(roles[by_form[row.form]](row) for row in table)
    for row in table:
        shown = next(t["images"] for p in pages.values() for t in p.trials if t["trial"] == row.trial)
        assert row.truth_first is (shown[0] == pairs[row.trial][0])
    assert {row.submitted for row in table} == {"2023-11-14T22:13:20Z"}
    summary = json.loads((rig.folder / "private" / "ingest.json").read_text())
    assert set(summary["problems"]) == {"unfinished sittings"}
    before = (rig.folder / "private" / "ratings.csv").read_bytes()
    assert run("ingest", f"--study={rig.folder}", "--format=server", database(rig)) == 0
    assert (rig.folder / "private" / "ratings.csv").read_bytes() == before


def test_a_rater_may_be_called_like_a_made_up_one(rig):
    for name in ("ann", "simulated-rater-0001"):
        assert rig.enter(name).do_all().status_code == 200
    assert run("ingest", f"--study={rig.folder}", database(rig)) == 0
    assert {row.source for row in ratings.read(rig.folder / "private" / "ratings.csv")} == {"server"}


def test_a_simulated_database_is_not_served(rig, tmp_path):
    assert run("simulate", f"--study={rig.folder}", f"--out={tmp_path / 'new'}", "--seed=1", "--raters=2") == 0
    rig.database.close()
    shutil.copyfile(tmp_path / "new" / "server.sqlite", database(rig))
    with pytest.raises(UserError, match="was made for another simulated"):
        serve.open_database(rig.folder, rig.design, pilot=False)
    database(rig).unlink()
    rig.open()


def test_turned_sittings_are_no_problem(new_rig, capsys):
    rig = new_rig()
    for number in range(12):
        rig.enter(f"rater{number}").do_all()
    assert run("ingest", f"--study={rig.folder}", database(rig)) == 0
    out = capsys.readouterr().out
    assert "84 ratings of 12 raters in 12 sittings; 48 test ratings count, 24 of them with the truth first" in out
    assert "x " not in out.partition("truth first")[2].partition("ratings")[0]


def test_copies_of_a_running_server(half, tmp_path):
    rig, _ = half
    whole = list(answer_files.read_submissions(str(database(rig))))
    assert [bool(s.unfinished) for s in whole].count(False) == 1
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in database(rig).parent.glob("server.sqlite*"):
        if not file.name.endswith("-shm"):
            shutil.copyfile(file, copy / file.name)
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    copy.chmod(0o500)
    for file in copy.iterdir():
        file.chmod(0o400)
    if os.geteuid():  # root may write everywhere
        assert {file.name: file.read_bytes() for file in copy.iterdir()} == before
    found = list(answer_files.read_submissions(str(copy / "server.sqlite")))
    assert [(s.assignment, s.answers) for s in found] == [(s.assignment, s.answers) for s in whole]
    assert (copy / "server.sqlite").read_bytes() == before["server.sqlite"]
    copy.chmod(0o700)


def test_other_or_broken_databases(rig, tmp_path):
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"SQLite format 3\0" + b"\1" * 4096)
    with pytest.raises(UserError, match="is no whole database of the study server"):
        list(answer_files.read_submissions(str(path)))
    path.write_text("a,b\n")
    with pytest.raises(UserError, match="is no SQLite database"):
        list(answer_files.read_submissions(str(path), "server"))


def test_a_pilot_stays_apart(half, kit, capsys):
    rig, _ = half
    pilot = kit.Rig(rig.folder, rig.design, "--access=open", "--pilot")
    for number in range(6):
        pilot.enter(f"pilot{number}").do_all()
    file = rig.folder / "private" / "pilot.sqlite"
    private = rig.folder / "private"
    assert run("ingest", f"--study={rig.folder}", database(rig)) == 0
    assert run("ingest", f"--study={rig.folder}", file) == 0
    assert {row.source for row in ratings.read(private / "pilot_ratings.csv")} == {"pilot server"}
    assert {row.source for row in ratings.read(private / "ratings.csv")} == {"server"}
    assert (private / "pilot_ingest.json").exists()
    kept = [(private / name).read_bytes() for name in ("ratings.csv", "pilot_ratings.csv")]
    capsys.readouterr()
    for odd, files in ((file, [file, f"--out={private / 'ratings.csv'}"]), (database(rig), [database(rig), file])):
        assert run("ingest", f"--study={rig.folder}", *files) == 2
        assert f"{odd}, sitting" in (said := capsys.readouterr().err)
        assert "would mix a pilot's answers with the study's" in said
    assert [(private / name).read_bytes() for name in ("ratings.csv", "pilot_ratings.csv")] == kept
    pilot.database.close()


@pytest.mark.parametrize("pilot", [True, False])
def test_a_score_says_that_it_is_of_a_pilot(new_rig, listed, pilot, capsys):
    rig = new_rig("--access=open", *(["--pilot"] if pilot else []))
    pairs = listed(rig.design)
    for number in range(12):
        page = rig.enter(f"rater{number}")
        for place, trial in enumerate(page.trials):
            rig.time += 5  # as long as a pair takes
            assert page.answer(place, fake=pairs[trial["trial"]][1]).status_code == 200
        assert page.finish().status_code == 200
    private, out = rig.folder / "private", rig.folder / "score"
    assert run("ingest", f"--study={rig.folder}", private / ("pilot.sqlite" if pilot else "server.sqlite")) == 0
    table = private / ("pilot_ratings.csv" if pilot else "ratings.csv")
    capsys.readouterr()
    arguments = [f"--study={rig.folder}", f"--ratings={table}", f"--out={out}", "--replicates=50"]
    assert run("score", *arguments, "--raters=2") == 0
    printed = capsys.readouterr().out
    assert "coltran_model, sample 0: 0.0% +- 0.0" in printed
    assert ("these answers are of a pilot, not of the study" in printed) is pilot
    assert json.loads((out / "score.json").read_text())["pilot"] is pilot
    assert ("of a pilot, not of the study" in (out / "report.html").read_text()) is pilot


def test_a_pilot_of_the_static_page(rig, tmp_path):
    page = rig.enter("ann")
    trials = [page.body(place) for place in range(len(page.trials))]
    result = {"form": page.form, "rater": "ann", "pilot": True, "finished": "2026-06-01T10:00:00Z", "trials": trials}
    (tmp_path / "a.json").write_text(json.dumps(result))
    ingest.ingest(str(rig.folder), [str(tmp_path / "a.json")], tmp_path / "r.csv")
    [source] = {row.source for row in ratings.read(tmp_path / "r.csv")}
    assert source == "pilot static"


def test_forget_deletes_from_the_databases_too(half, kit, capsys):
    rig, pages = half
    pilot = kit.Rig(rig.folder, rig.design, "--access=open", "--pilot")
    pilot.enter("cat").do_all(comment="cat's comment")
    pilot.database.close()
    assert run("ingest", f"--study={rig.folder}", database(rig)) == 0
    assert run("forget", f"--study={rig.folder}", "--rater=cat") == 0
    assert "7 ratings and 2 sittings on the server" in capsys.readouterr().out
    assert ratings.read(rig.folder / "private" / "ratings.csv") == []
    assert rig.rows("SELECT rater FROM sittings ORDER BY rater") == rig.hashes("ann", "bob")
    assert rig.rows("SELECT DISTINCT sitting FROM answers") == rig.rows(
        f"SELECT sitting FROM sittings WHERE rater='{rig.hashes('ann')[0][0]}'"
    )
    assert server_database.raters(rig.folder / "private" / "pilot.sqlite") == set()
    for file in (rig.folder / "private").glob("*.sqlite*"):
        if not file.name.endswith("-shm"):
            assert b"cat" not in file.read_bytes(), file
    # She cannot come in again, whatever way; others get her place.
    refused = rig.visit("cat")
    assert refused.status_code == 403
    assert "delete your data" in refused.text
    assert pages["cat"].answer(0).status_code == 403
    assert rig.enter("dan").form == pages["cat"].form
    assert run("forget", f"--study={rig.folder}", "--rater=nobody") == 2
    assert "has no rating of the rater 'nobody'" in capsys.readouterr().err


def test_forget_by_hash_and_before_any_ingest(half):
    rig, _ = half
    known = rater_ids.rater(rater_ids.salt(rig.folder), "ann")
    assert run("forget", f"--study={rig.folder}", f"--rater={known}") == 0
    assert rig.rows("SELECT rater FROM sittings ORDER BY rater") == rig.hashes("bob", "cat")
    assert rater_ids.forgotten(rig.folder) == {known}
