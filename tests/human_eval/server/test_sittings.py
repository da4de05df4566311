"""Who gets which form: leases, images met before, counts, and the balance of orders."""

import collections
import contextlib
import random
import sqlite3

import pytest

from coltran.errors import UserError
from human_eval import study
from human_eval.commands import serve
from human_eval.folder.forms import TEST
from human_eval.server import clock, sittings


def outcome(rig, rater: str, **more) -> str:
    """The heading of what a rater gets who gets no form."""
    return rig.visit(rater, **more).text.partition("<h1>")[2].partition("</h1>")[0]


def test_a_rater_meets_no_image_twice_and_practices_once(rig):
    first = rig.enter("ann")
    assert sum(bool(trial.get("practice")) for trial in first.trials) == 2
    first.do_all()
    assert outcome(rig, "ann") == "Thank you!"
    second = rig.enter("ann", another="1")
    assert [trial for trial in second.trials if trial.get("practice")] == []
    met = [rig.design.forms[page.form].keys for page in (first, second)]
    assert met[0].isdisjoint(met[1])
    assert second.do_all().status_code == 200
    again = rig.visit("ann", another="1").text
    assert again.count("Your code") == 2
    assert "do another set" not in again  # two blocks, and all their images were met


def test_after_the_end_the_next_form_is_offered_not_forced(rig):
    rig.enter("ann").do_all()
    text = rig.visit("ann").text
    assert '<a href="?rater=ann&amp;another=1">' in text
    assert len(rig.rows("SELECT * FROM sittings")) == 1


def test_a_reload_after_the_end_takes_no_further_form(new_rig):
    rig = new_rig("--access=open", images=12, block=4)  # three blocks, so that a third form is left
    rig.enter("ann").do_all()
    rig.enter("ann", another="1").do_all()
    for number in ("1", "0", "3", "", "x", "02"):
        assert outcome(rig, "ann", another=number) == "Thank you!"
    assert '<a href="?rater=ann&amp;another=2">' in rig.visit("ann", another="1").text
    assert len(rig.rows("SELECT * FROM sittings")) == 2
    assert rig.enter("ann", another="2").trials


def test_an_unfinished_practice_comes_again(rig):
    page = rig.enter("ann")
    page.answer(0)
    rig.time += 31 * 60
    for number in range(12):
        rig.enter(f"other{number}").do_all()
    assert outcome(rig, "ann") == "The study is complete"
    assert page.answer(1).status_code == 410


def test_forms_with_the_fewest_sittings_go_first(rig):
    pages = [rig.enter(f"rater{number}") for number in range(12)]
    assert sorted(page.form for page in pages[:6]) == list(range(6))
    assert collections.Counter(page.form for page in pages) == dict.fromkeys(range(6), 2)
    for page in pages:
        page.answer(0)
    assert outcome(rig, "late") == "Everything is taken right now"


def test_who_only_looks_holds_no_place(rig):
    """Invented names that come and never answer: everybody who rates gets a place at once."""
    entered = []
    for name in [*(f"squatter{number}" for number in range(18)), *(f"rater{number}" for number in range(12))]:
        rig.time += 1
        entered.append(rig.enter(name))
    squatters, pages = entered[:18], entered[18:]
    assert all(page.do_all().status_code == 200 for page in pages)
    assert outcome(rig, "late") == "The study is complete"
    lost = squatters[0].answer(0)
    assert (lost.status_code, lost.json["reload"]) == (410, True)


def test_the_first_answer_decides_whose_place_it_is(rig):
    pages = [rig.enter(f"rater{number}") for number in range(12)]
    for page in pages[1:]:
        page.answer(0)
    second = rig.enter("second")  # The first rater still reads the instructions.
    assert second.form == pages[0].form
    assert pages[0].answer(0).status_code == 200  # She comes back and answers before the other does.
    assert second.answer(0).status_code == 410
    assert pages[0].do_all().status_code == 200
    assert outcome(rig, "second") == "Everything is taken right now"
    check(rig)


def test_a_rater_who_lost_a_place_may_have_that_form_again(rig):
    pages = [rig.enter(f"rater{number}") for number in range(12)]
    for page in pages[1:]:
        page.answer(0)
    thief = rig.enter("thief")
    thief.answer(0)
    assert pages[0].answer(0).status_code == 410
    rig.time += 31 * 60
    for page in pages[1:]:
        page.answer(1)
    again = rig.enter("rater0")
    assert again.form == thief.form
    assert again.do_all().status_code == 200
    check(rig)


def test_a_clock_that_is_set_back_or_forward_changes_no_lease(rig, monkeypatch):
    """The system's clock jumps while the server runs and before it starts again."""
    page = rig.enter("ann")
    page.answer(0)
    ticks = 0.0
    wall = [1_700_000_000.0]
    monkeypatch.setattr(clock.time, "time", lambda: wall[0])
    monkeypatch.setattr(clock.time, "monotonic", lambda: ticks)
    steady = clock.steady(clock.time.time, 0.0)
    assert steady() == 1_700_000_000
    wall[0] -= 90 * 86400
    ticks += 60
    assert steady() == 1_700_000_060
    again = clock.steady(clock.time.time, newest=1_700_000_050)  # a start while the clock is wrong
    ticks += 31 * 60
    assert again() == 1_700_000_050 + 31 * 60
    # The same with a server: what it noted before is not in its future for months.
    rig.time -= 90 * 86400
    rig.restart()
    for number in range(11):
        rig.enter(f"rater{number}").answer(0)
    assert outcome(rig, "late") == "Everything is taken right now"
    rig.time += 31 * 60
    assert rig.enter("late").trials


def test_an_expired_place_comes_back_to_its_rater_while_nobody_has_it(rig):
    page = rig.enter("ann")
    page.answer(0)
    rig.time += 10**6
    assert page.answer(1).status_code == 200  # late, but still hers
    rig.time += 10**6
    back = rig.enter("ann")
    assert (back.form, len(back.about["answered"])) == (page.form, 2)
    assert back.do_all().status_code == 200


def test_an_abandoned_place_goes_to_the_next_and_its_answers_never_count(rig):
    pages = [rig.enter(f"rater{number}") for number in range(12)]
    lost = pages[0]
    lost.answer(0)
    rig.time += 29 * 60
    for page in pages[1:]:
        page.answer(0)  # a sign of life keeps the place
    rig.time += 2 * 60
    heir = rig.enter("heir")
    assert heir.form == lost.form
    assert [t["images"] for t in heir.trials] == [t["images"] for t in lost.trials]  # the place's order stays
    assert heir.about["answered"] == []
    assert lost.answer(1).status_code == 410
    assert lost.finish().status_code == 410
    assert rig.rows("SELECT state, count(*) FROM sittings GROUP BY state ORDER BY state") == [
        ("abandoned", 1),
        ("running", 12),
    ]
    assert rig.rows("SELECT count(*) FROM answers JOIN sittings USING (sitting) WHERE state = 'abandoned'") == [(1,)]
    # Who lost a form has met its images: only a form of the other block is left for rater0, and all are taken.
    assert outcome(rig, "rater0") == "Everything is taken right now"


def test_every_second_place_turns_all_pairs_so_that_truths_come_first_in_exactly_half(rig, listed):
    pairs = listed(rig.design)
    first = collections.Counter()
    for number in range(12):
        page = rig.enter(f"rater{number}")
        for trial in page.trials:
            first[trial["trial"]] += trial["images"][0] == pairs[trial["trial"]][0]
        page.do_all()
    assert set(first.values()) == {1}
    assert len(first) == sum(len(form.trials) for form in rig.design.forms)


@pytest.mark.parametrize("raters", [3, 4, 5])
def test_balance_of_orders_for_any_number_of_raters(new_rig, listed, raters):
    rig = new_rig(raters=raters, images=6, block=3)
    pairs = listed(rig.design)
    first = collections.Counter()
    for number in range(6 * raters):
        for trial in rig.enter(f"rater{number}").trials:
            first[trial["trial"]] += trial["images"][0] == pairs[trial["trial"]][0]
    for form in rig.design.forms:
        for trial in form.trials:
            # The listed order has the odd one; the design lists the truth first in half of a variant's pairs.
            assert first[trial.id] == (raters + (trial.truth_first if raters % 2 else 0)) // 2
    tests = [t for form in rig.design.forms for t in form.trials if t.kind == TEST]
    assert abs(2 * sum(first[t.id] for t in tests) - raters * len(tests)) <= 3  # at most one for each of 3 variants


def check(rig) -> None:
    """What must hold at every moment."""
    rows = rig.rows("SELECT form, slot, rater, state FROM sittings")
    seen = "state != 'abandoned' OR sitting IN (SELECT sitting FROM answers)"
    held = collections.Counter((form, slot) for form, slot, _, state in rows if state != "abandoned")
    assert set(held.values()) <= {1}
    needed = {form.number: form.raters for form in rig.design.forms}
    assert all(0 <= slot < needed[form] for form, slot in held)
    met = collections.defaultdict(list)
    for form, rater in rig.rows(f"SELECT form, rater FROM sittings WHERE {seen}"):
        met[rater] += rig.design.forms[form].keys
    assert all(len(keys) == len(set(keys)) for keys in met.values())


@pytest.mark.parametrize("seed", range(3))
def test_whatever_raters_do_every_form_ends_with_its_number_of_sittings(new_rig, kit, seed):
    rig = new_rig(raters=3)
    rng = random.Random(seed)
    pages, names = {}, [f"rater{number}" for number in range(8)]
    for step in range(900):
        rig.time += rng.choice([1, 1, 30, 400])
        if rng.random() < 0.03:
            names.append(f"rater{len(names)}")
        name = rng.choice(names)
        if name not in pages or rng.random() < 0.1:
            text = rig.visit(name, **({"another": "1"} if rng.random() < 0.5 else {})).text
            if 'id="study"' in text:
                pages[name] = kit.Page(rig.client, text)
            continue
        page = pages[name]
        left = [at for at, trial in enumerate(page.trials) if trial["trial"] not in page.about["answered"]]
        at = rng.choice(left) if left else None
        done = page.answer(at, call=rng.randrange(2)) if left else page.finish()
        assert done.status_code in (200, 410)
        if left and done.status_code == 200:
            page.about["answered"].append(page.trials[at]["trial"])
        else:
            del pages[name]
        if step % 20 == 0:
            check(rig)
        if step % 300 == 150:
            rig.restart()
            for other in pages.values():
                other.client = rig.client
    rig.time += 10**6
    number = 0
    while outcome(rig, f"last{number}") != "The study is complete":
        rig.enter(f"last{number}").do_all()
        number += 1
    check(rig)
    finished = rig.rows("SELECT form, count(*) FROM sittings WHERE state = 'finished' GROUP BY form")
    assert finished == [(form.number, 3) for form in rig.design.forms]


def test_a_second_server_on_one_database_is_refused(rig):
    with pytest.raises(UserError, match="another server has this database open"):
        serve.open_database(rig.folder, rig.design, pilot=False)
    rig.restart()


def test_a_database_of_another_study_or_none_is_refused(rig, kit):
    rig.database.close()
    with pytest.raises(UserError, match="was made for another study"):
        serve.open_database(rig.folder, kit.make_design(seed=6), pilot=False)
    path = rig.folder / "private" / "server.sqlite"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"no database at all, but long enough to look like one" * 30)
    with pytest.raises(UserError, match="is no database of the study server"):
        serve.open_database(rig.folder, rig.design, pilot=False)
    path.unlink()
    rig.open()


def test_whoever_was_in_the_pilot_is_refused_in_the_study(rig, kit):
    pilot = kit.Rig(rig.folder, rig.design, "--access=open", "--pilot")
    page = pilot.enter("ann")
    assert page.about["pilot"] is True
    assert (rig.folder / "private" / "pilot.sqlite").exists()
    response = rig.visit("ann")
    assert response.status_code == 403
    assert "trial run" in response.text
    assert rig.enter("bob").about["pilot"] is False
    assert page.answer(0).status_code == 200
    assert rig.client.post("/api/answer", json=page.body(0)).status_code == 403  # a pilot's session is none here
    pilot.database.close()


@pytest.mark.parametrize("begin", [b"", b"PRAGMA journal_mode = WAL"])
def test_a_pilot_database_without_tables_is_an_empty_one(rig, begin):
    path = rig.folder / "private" / "pilot.sqlite"
    path.touch()
    if begin:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(begin.decode())
    page = rig.enter("ann")
    assert page.do_all().status_code == 200
    assert study.main(["forget", f"--study={rig.folder}", "--rater=ann"]) == 0
    assert rig.rows("SELECT * FROM sittings") == []
    serve.open_database(rig.folder, rig.design, pilot=True).close()


def test_forms_that_were_added_later_are_handed_out(rig, kit):
    rig.enter("ann").do_all()
    rig.database.close()
    longer = kit.make_design()
    extra = sittings.Form(number=6, raters=1, trials=longer.forms[0].trials[:1])
    rig.design = type(longer)(**{**vars(longer), "forms": (*longer.forms, extra)})
    rig.open()
    assert rig.rows("SELECT count(*) FROM sittings") == [(1,)]
    assert {rig.enter(f"rater{number}").form for number in range(12)} == set(range(7))
