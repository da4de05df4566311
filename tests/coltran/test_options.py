"""A flag is its dataclass field: default, type, choices and help stand there alone."""

import argparse
import dataclasses

import pytest

from coltran import cli
from coltran.errors import UserError
from coltran.options import add_flags, deciding, from_arguments, given, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shared:
    out: str = option(metavar="FOLDER", help="where to", decides=False)
    seed: int = option(0, help="of everything")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Shared):
    photos: tuple[str, ...] = option(positional=True, help="what to color")
    kinds: tuple[str, ...] = option((), append=True, help="repeatable")
    side: int | None = option(None, shown="all", parse=cli.positive, help="pixels")
    rate: float = option(0.25, help="as much as 5% of it")
    mode: str = option("soft", choices=("soft", "hard"), help="how")
    loud: bool = option(False, help="say more", decides=False)
    kept: str = "no flag"


def parse(*argv: str) -> Options:
    parser = cli.Parser("a-command", "What it does.")
    add_flags(parser, Options)
    return from_arguments(Options, parser.parse_args(argv))


def help_text() -> str:
    parser = cli.Parser("a-command", "What it does.")
    add_flags(parser, Options)
    return " ".join(parser.format_help().split())


def test_defaults_come_from_the_fields():
    assert parse("a.png", "--out=o") == Options(photos=("a.png",), out="o")


def test_values_are_parsed_by_the_types_of_the_fields():
    flags = ["a.png", "b.png", "--out", "o", "--seed=-3", "--kinds=x", "--kinds=y", "--side=7", "--rate=.5", "--loud"]
    found = parse(*flags, "--mode=hard")
    assert found == Options(
        photos=("a.png", "b.png"), out="o", seed=-3, kinds=("x", "y"), side=7, rate=0.5, mode="hard", loud=True
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["a.png"], "--out"),
        (["--out=o"], "photos"),
        (["a", "--out=o", "--seed=x"], "expected a whole number, got 'x'"),
        (["a", "--out=o", "--rate=x"], "expected a number, got 'x'"),
        (["a", "--out=o", "--side=0"], "expected a whole number above 0"),
        (["a", "--out=o", "--mode=loud"], "choose from"),
        (["a", "--out=o", "--kept=1"], "unrecognized"),
    ],
)
def test_a_wrong_value_is_one_line(flags, message):
    with pytest.raises(UserError, match=message):
        parse(*flags)


def test_help_shows_every_default_once():
    text = help_text()
    for shown in (
        "of everything (default: 0)",
        "pixels (default: all)",
        "how (default: soft)",
        "5% of it (default: 0.25)",
    ):
        assert shown in text
    assert "--kept" not in text
    assert text.count("default:") == 4


def test_a_fingerprint_holds_all_that_is_not_marked():
    assert deciding(Options(photos=("a",), out="o", loud=True)) == {
        "seed": 0,
        "photos": ("a",),
        "kinds": (),
        "side": None,
        "rate": 0.25,
        "mode": "soft",
        "kept": "no flag",
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learning:
    steps: int = option(help="how long")
    rate: float = option(0.25, help="how fast")
    flip: bool = option(False, help="mirror")
    names: tuple[str, ...] = option(("a",), joined=True, parse=lambda text: tuple(text.split(",")), help="several")
    source: str = option("here", name="from", help="where")


def test_flags_whose_values_come_from_elsewhere_are_none_where_left_out():
    parser = cli.Parser("a-command", "What it does.")
    add_flags(parser, Learning, unset="the config's")
    assert given(Learning, parser.parse_args([])) == {}
    found = given(Learning, parser.parse_args(["--rate=2", "--flip", "--names=x,y", "--from=there"]))
    assert found == {"rate": 2.0, "flip": True, "names": ("x", "y"), "source": "there"}
    text = " ".join(parser.format_help().split())
    assert "how long (default: the config's)" in text
    assert "how fast (default: 0.25, or the config's)" in text


def test_fields_that_are_no_flags_are_given_beside_the_arguments():
    parser = cli.Parser("a-command", "What it does.")
    add_flags(parser, Options)
    found = parser.parse_args(["a.png", "--out=o"])
    assert from_arguments(Options, found, kept="other").kept == "other"


def test_flags_of_a_group_stand_under_its_heading():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Grouped:
        rate: float = option(1.0, group="learning", help="how fast")

    parser = argparse.ArgumentParser()
    add_flags(parser, Grouped)
    assert "learning:\n  --rate" in parser.format_help()
