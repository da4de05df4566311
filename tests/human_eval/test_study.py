"""The commands of coltran-study: their options are dataclasses whose fields are the flags."""

import dataclasses
import importlib

import pytest

from coltran import options
from human_eval import study
from human_eval.design.arguments import SizeFlags
from human_eval.simulation.effects import Effects


@pytest.mark.parametrize("command", study._COMMANDS)
def test_every_field_of_a_commands_options_is_a_flag(command):
    found = importlib.import_module(f"human_eval.commands.{command}").Options
    assert options.flags_of(found) == list(dataclasses.fields(found))


def test_a_studys_name_is_made_of_what_decides_on_its_plan():
    from human_eval.commands import design

    asked = design.Options(truth="t", colorized=("c",), seed=1, out="o")
    decisive = {"seed", "images", "samples", "raters", "block", "practice", "catch", "image"}
    assert set(options.deciding(asked)) == decisive


def test_commands_that_share_options_share_their_defaults():
    from human_eval.commands import design, power, simulate, top_up

    for field in dataclasses.fields(SizeFlags):
        for module in (design, power):
            assert getattr(module.Options, field.name) == field.default
    assert simulate.Options.raters is None  # as the study was designed
    assert top_up.Options.block == SizeFlags.block


def test_effects_leave_out_what_a_command_adds_to_them():
    from human_eval.commands import power

    assert power.Options(rate=0.3).as_dict() == dataclasses.asdict(Effects(rate=0.3))


@pytest.mark.parametrize(
    ("flags", "file"),
    [
        (["--top_up", "list.csv"], "list.csv"),
        (["--top_up=list.csv", "--out=x"], "list.csv"),
        (["--top_up", "--out=x"], "study/score/top_up.csv"),
    ],
)
def test_design_says_where_top_up_went_before_it_misses_other_flags(flags, file, capsys):
    assert study.main(["design", *flags]) == 2
    assert capsys.readouterr().err.endswith(f"coltran-study top_up --study STUDY {file}\n")


def test_design_names_the_flags_that_are_missing(capsys):
    assert study.main(["design", "--truth=t"]) == 2
    assert "--colorized, --seed, --out" in capsys.readouterr().err
