"""Defines the typed command line of coltran-train. docs/training.md has a table of the flags."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from coltran import cli
from coltran.errors import UserError
from coltran.options import add_flags, from_arguments, given, option
from coltran.records.stages import STAGES
from coltran.training.options import COMPUTING, LEARNING, RunOptions, StepOptions, TrainOptions
from coltran.weights.kinds import WEIGHTS

PROG = "coltran-train"
_MODES = "other modes"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options on the command line; see `--help`. A flag is None if it was left out and its mode does not need it.

    Attributes:
      run, how: flags that do not change the weights, with their defaults.
      learning: {name: value} of the fields of TrainOptions that the user gave; the config gives the other values.
    """

    data: str | None = option(None, metavar="FOLDER", help="record folder to train on, or to evaluate")
    stage: str | None = option(None, choices=STAGES, help="which network")
    config: str = option("coltran", help="named config: coltran (paper size), smoke, no_cln, ...")
    set: tuple[str, ...] = option(
        (),
        append=True,
        metavar="FIELD=VALUE",
        help="change one field of the config; repeatable (with --evaluate: compute_dtype alone)",
    )
    workdir: str | None = option(None, metavar="FOLDER", help="checkpoints and logs; a run that is in it goes on")
    validation: str | None = option(None, metavar="FOLDER", help="record folder whose bits are measured")
    shard_parameters: int = option(
        1, parse=cli.positive, metavar="N", group=COMPUTING, help="split parameters over N devices"
    )
    coordinator: str | None = option(
        None, metavar="HOST:PORT", group=COMPUTING, help="several processes: where process 0 listens"
    )
    processes: int | None = option(
        None, parse=cli.positive, metavar="N", group=COMPUTING, help="several processes: how many"
    )
    process: int | None = option(
        None, parse=cli.whole, metavar="I", group=COMPUTING, help="several processes: which one this is, from 0"
    )
    distributed: bool = option(False, group=COMPUTING, help="several processes: find all that in the environment")
    evaluate: bool = option(False, group=_MODES, help="print the bits of --data under --checkpoint, and end")
    checkpoint: str | None = option(
        None, metavar="FOLDER", group=_MODES, help="with --evaluate: a --workdir, or a checkpoint folder"
    )
    weights: str = option(WEIGHTS[0], choices=WEIGHTS, group=_MODES, help="with --evaluate: which weights")
    json: str | None = option(
        None, metavar="FILE", group=_MODES, help="with --evaluate: also write the means and the bits of each image"
    )
    plot: tuple[str, ...] = option(
        (), metavar="WORKDIR", group=_MODES, help="draw the curves of these runs into --out, and end"
    )
    out: str | None = option(None, metavar="PNG", group=_MODES, help="with --plot: the picture")
    run: RunOptions
    how: StepOptions
    learning: Mapping[str, Any]

    def needed(self, name: str) -> str:
        """Returns the value of a flag that the mode needs. `parse` has checked that the user gave it."""
        value = getattr(self, name)
        if value is None:
            raise UserError(f"--{name} must be given (see {PROG} --help)")
        return value


def parse(argv: Sequence[str], description: str) -> Options:
    """Reads the command line. Raises UserError for flags that are unknown, missing or contradictory."""
    parser = cli.Parser(PROG, description)
    for heading in (LEARNING, COMPUTING, _MODES):
        parser.add_argument_group(heading)
    add_flags(parser, Options)
    add_flags(parser, RunOptions)
    add_flags(parser, TrainOptions, unset="the config's")
    add_flags(parser, StepOptions)
    found = parser.parse_args(argv)
    options = from_arguments(
        Options,
        found,
        run=from_arguments(RunOptions, found),
        how=from_arguments(StepOptions, found),
        learning=given(TrainOptions, found),
    )
    _check(options)
    return options


def _check(options: Options) -> None:
    if options.plot:
        needed, mode = ["out"], "with --plot"
    elif options.evaluate:
        needed, mode = ["data", "checkpoint"], "with --evaluate"
    else:
        needed, mode = ["data", "stage", "workdir"], "to train"
    missing = [f"--{name}" for name in needed if getattr(options, name) is None]
    if missing:
        raise UserError(f"{' and '.join(missing)} must be given {mode} (see {PROG} --help)")
    if options.checkpoint and not options.evaluate:
        raise UserError("--checkpoint goes with --evaluate; training finds its checkpoints in --workdir")
    if options.json and not options.evaluate:
        raise UserError("--json goes with --evaluate")
    if options.out and not options.plot:
        raise UserError("--out goes with --plot")
