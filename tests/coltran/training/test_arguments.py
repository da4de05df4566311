"""The command line of coltran-train gives the options of training; their defaults stand in them alone."""

import dataclasses
import pathlib

import pytest

from coltran.errors import UserError
from coltran.options import flags_of
from coltran.training import arguments
from coltran.training.options import RunOptions, StepOptions, TrainOptions, train_options

NEEDED = ["--data=records", "--stage=colorizer", "--workdir=run"]
FLAGS = pathlib.Path(__file__).parents[3] / "docs" / "training.md"


def parse(*more: str) -> arguments.Options:
    return arguments.parse([*NEEDED, *more], "")


def test_what_is_left_out_has_the_defaults_of_the_options():
    options = parse()
    assert (options.run, options.how, options.learning) == (RunOptions(), StepOptions(), {})


def test_what_is_given_replaces_the_values_of_a_named_config():
    options = parse("--config=smoke", "--steps=7", "--flip", "--keep=1", "--remat")
    assert options.learning == {"steps": 7, "flip": True}
    assert (options.run.keep, options.how.remat) == (1, True)
    trained = train_options("colorizer", options.config, options.learning)
    assert (trained.steps, trained.flip, trained.ema_decay) == (7, True, 0.98)


@pytest.mark.parametrize("kind", [TrainOptions, StepOptions, RunOptions])
def test_every_field_is_a_flag(kind):
    assert flags_of(kind) == list(dataclasses.fields(kind))


def test_the_manual_names_every_flag():
    table = FLAGS.read_text().partition("## Flags")[2].partition("\n## ")[0]
    kinds = (arguments.Options, TrainOptions, StepOptions, RunOptions)
    missing = [field.name for kind in kinds for field in flags_of(kind) if f"--{field.name}" not in table]
    assert not missing


@pytest.mark.parametrize(("given", "said"), [([], "--data and --stage and --workdir"), (NEEDED[1:], "--data must")])
def test_a_flag_that_its_mode_needs_is_asked_for(given, said):
    with pytest.raises(UserError, match=said):
        arguments.parse(given, "")
