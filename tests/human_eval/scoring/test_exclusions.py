"""Each rule at its limit, and rules files that people write."""

import dataclasses
import json

import pytest

from coltran.errors import UserError
from human_eval.answers.ratings import Rating
from human_eval.scoring import exclusions
from human_eval.scoring.exclusions import Rules


def sitting(n: int = 20, catch: int = 10, **changes) -> list[Rating]:
    """A careful rater's sitting; `changes` are (field -> function of the row's place)."""
    rows = []
    for place in range(n + catch):
        values = {
            "study": "s",
            "rater": "r",
            "assignment": "a",
            "form": 0,
            "trial": place,
            "kind": "test" if place < n else "catch",
            "model": "m",
            "key": f"k{place}",
            "sample": 0,
            "truth_first": True,
            "chosen": ("first", "second", "second", "first")[place % 4],
            "place": place,
            "fooled": place < n and place % 2 == 0,
            "response_ms": 300.0,
            "first_ms": 1050.0,
            "second_ms": 950.0,
            "voided": False,
            "repeated": False,
            "submitted": "",
            "source": "static",
            "excluded": "",
        }
        rows.append(Rating(**values | {name: function(place) for name, function in changes.items()}))
    return rows


def reasons(rows, rules=None, size=20) -> set[str]:
    return {row.excluded for row in exclusions.apply(rows, rules or Rules(), {0: size})}


def test_a_careful_rater_at_every_limit_counts():
    limit = sitting(
        fooled=lambda place: place in (20, 21),  # 8 of 10 catch trials found
        chosen=lambda place: "second" if place < 3 else "first",  # 27 of 30 on one side
        first_ms=lambda place: 1050.1 if place < 3 else 1000.0,  # 3 of 30 showings badly timed
    )
    assert reasons(limit) == {""}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"chosen": lambda place: "" if place == 0 else "first"}, "incomplete: 19 of 20 trials answered"),
        ({"fooled": lambda place: place >= 27}, "catch trials: 7 of 10 found"),
        ({"response_ms": lambda place: 299.0}, "too fast: median response 299 ms"),
        ({"chosen": lambda place: "second" if place < 2 else "first"}, "same side: 28 of 30 answers"),
        ({"second_ms": lambda place: 1051.0 if place < 4 else 1000.0}, "bad timing: 4 of 30 showings"),
        ({"response_ms": lambda place: None if place < 4 else 300.0}, "no measured times: 4 of 30 answers"),
        ({"second_ms": lambda place: None if place < 4 else 950.0}, "no measured times: 4 of 30 answers"),
        (
            {"elapsed_ms": lambda place: 1899.0 if place < 4 else 4000.0},
            "faster than shown: 4 of 30 answers by the server's clock",
        ),
        ({"sitting_ms": lambda place: 200.0}, "faster than shown: 0 s for 30 pairs"),
        (
            {"response_ms": lambda place: 9000.0 if place < 4 else 300.0, "elapsed_ms": lambda place: 4000.0},
            "clocks: 4 of 30 answers took less time than the page says",
        ),
        (
            {"chosen": lambda place: ("first", "second")[place % 2]},
            "alternating: 29 of 29 answers on the other side than the one before",
        ),
        ({"vision": lambda place: "deficient"}, "color vision: the rater said that it is deficient"),
    ],
)
def test_one_step_beyond_a_limit(changes, reason):
    assert reasons(sitting(**changes)) == {reason}
    kept = sitting(**changes, excluded=lambda place: "unset answer" if place == 3 else "")
    assert reasons(kept) == {reason, "unset answer"}  # a reason that stands stays


def test_rules_can_be_relaxed():
    rows = sitting(response_ms=lambda place: 10.0)
    assert reasons(rows, Rules(min_median_response_ms=0)) == {""}
    assert reasons(sitting(sitting_ms=lambda place: 200.0), Rules(max_faster_than_shown=1)) == {""}
    assert reasons(sitting(n=19)) == {"incomplete: 19 of 20 trials answered"}
    assert reasons(sitting(n=19), Rules(min_answered=0.9)) == {""}


def test_a_voided_rating_goes_alone_and_practice_stays_out_of_it():
    rows = sitting(voided=lambda place: place == 5)
    assert [row.trial for row in exclusions.apply(rows, Rules(), {0: 20}) if row.excluded] == [5]
    assert reasons(rows, Rules(drop_voided=False)) == {""}
    practice = [dataclasses.replace(row, kind="practice", response_ms=1.0, trial=99) for row in sitting(n=1, catch=0)]
    assert reasons(sitting() + practice) == {""}


def test_a_program_that_measured_nothing_is_no_rater():
    """A script that answers a form in 0.2 seconds, without times, and says that it sees no colors."""
    script = sitting(**dict.fromkeys(("response_ms", "first_ms", "second_ms"), lambda place: None))
    assert reasons(script) == {"no measured times: 30 of 30 answers"}
    assert reasons(script, Rules(max_missing_times=1)) == {""}


def test_few_answers_have_no_side():
    rows = sitting(n=5, catch=0, chosen=lambda place: "first")
    assert reasons(rows, size=5) == {""}
    assert reasons(sitting(n=12, catch=0, chosen=lambda place: "first"), size=12) == {"same side: 12 of 12 answers"}


def test_the_defaults_are_written_once_and_read(tmp_path):
    path = tmp_path / "private" / "rules.json"
    exclusions.write_defaults(path)
    assert exclusions.read(path) == Rules()
    path.write_text("min_catch: 0.7  # YAML, with a remark\n")
    exclusions.write_defaults(path)
    assert exclusions.read(path) == Rules(min_catch=0.7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_cach: 0.7", "no rule 'min_cach'. Did you mean 'min_catch'?"),
        ("min_catch: high", "min_catch is 'high'"),
        ("min_catch: true", "min_catch is True"),
        ("min_catch: -1", "min_catch is -1"),
        ("min_catch: .nan", "min_catch is nan"),
        ("drop_voided: 1", "drop_voided is 1"),
        ("[1, 2]", "expected rules such as"),
        ("a: [", "neither JSON nor YAML"),
        ("!!python/object/apply:os.system [echo]", "neither JSON nor YAML"),
    ],
)
def test_bad_rules_get_one_line(text, message, tmp_path):
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        exclusions.read(tmp_path / "rules.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_fields_stand_in_the_file(tmp_path):
    exclusions.write_defaults(tmp_path / "rules.json")
    assert list(json.loads((tmp_path / "rules.json").read_text())) == [f.name for f in dataclasses.fields(Rules)]
