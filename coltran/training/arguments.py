"""The command line of coltran-train, typed. docs/training.md has a table of the flags."""

import argparse
import dataclasses
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError

PROG = "coltran-train"
STAGES = ("colorizer", "color_upsampler", "spatial_upsampler")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The command line; None where a preset's value is taken, or a mode needs it not."""

    data: str | None
    evaluate: bool
    checkpoint: str | None
    weights: str
    plot: tuple[str, ...]
    out: str | None
    stage: str | None
    config: str
    validation: str | None
    workdir: str | None
    steps: int | None
    batch_size: int | None
    optimizer: str | None
    learning_rate: float | None
    schedule: str | None
    warmup_steps: int | None
    clip_norm: float | None
    ema_decay: float | None
    parallel_weight: float | None
    flip: bool
    seed: int
    checkpoint_every: int
    evaluate_every: int
    keep: int
    samples: int
    max_skipped: int
    accumulate: int
    remat: bool
    shard_parameters: int
    coordinator: str | None
    processes: int | None
    process: int | None
    distributed: bool
    set: tuple[str, ...]


def parse(argv: Sequence[str], description: str) -> Options:
    """Raises UserError for flags that are unknown, missing or contradictory."""
    parser = cli.Parser(PROG, description)
    _add_main(parser)
    _add_learning(parser.add_argument_group("learning (all of it must stay the same when a run goes on)"))
    _add_computing(parser.add_argument_group("computing (may change from run to run)"))
    _add_modes(parser.add_argument_group("other modes"))
    given = vars(parser.parse_args(argv))
    options = Options(**{**given, "set": tuple(given["set"]), "plot": tuple(given["plot"])})
    _check(options)
    return options


def _add_main(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", metavar="FOLDER", help="record folder to train on, or to evaluate")
    add("--stage", choices=STAGES, help="which network")
    add("--config", default="coltran", help="named config: coltran (paper size), smoke, no_cln, ... (default coltran)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change one field of the config; repeatable (with --evaluate: compute_dtype alone)",
    )
    add("--workdir", metavar="FOLDER", help="checkpoints and logs; a run that is in it goes on")
    add("--validation", metavar="FOLDER", help="record folder whose bits are measured")
    add("--steps", type=cli.positive, help="train up to this step (default: the config's)")
    add("--checkpoint_every", type=cli.positive, default=1000, metavar="STEPS", help="default 1000")
    add("--evaluate_every", type=cli.positive, default=1000, metavar="STEPS", help="default 1000")
    add(
        "--keep", type=cli.positive, default=3, metavar="N", help="newest checkpoints; the best is kept too (default 3)"
    )
    add("--samples", type=cli.whole, default=4, metavar="N", help="validation images drawn at evaluations (default 4)")


def _add_learning(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--batch_size", type=cli.positive, help="examples a step, over all devices (default: the config's)")
    add("--optimizer", choices=("rmsprop", "adam"), help="default rmsprop, the paper's")
    add("--learning_rate", type=_number, help="at its highest (default 3e-4; smoke 3e-3)")
    add("--schedule", choices=("constant", "cosine"), help="default constant; cosine ends at 0 at --steps")
    add("--warmup_steps", type=cli.whole, metavar="STEPS", help="the learning rate rises from 0 (default 0)")
    add("--clip_norm", type=_number, metavar="NORM", help="shorten longer gradients to this (default 0: off)")
    add("--ema_decay", type=_number, help="of the averaged weights (default 0.999; smoke 0.98)")
    add("--parallel_weight", type=cli.fraction, help="lambda of the parallel head's loss (default 0.01)")
    add("--flip", action="store_true", help="mirror every second example at random")
    add("--seed", type=int, default=0, help="of weights, order, channels and flips (default 0)")


def _add_computing(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--accumulate", type=cli.positive, default=1, metavar="N", help="compute a batch in N parts, to save memory")
    add("--remat", action="store_true", help="compute activations again in the backward pass, to save memory")
    add("--shard_parameters", type=cli.positive, default=1, metavar="N", help="split parameters over N devices")
    add(
        "--max_skipped",
        type=cli.whole,
        default=10,
        metavar="N",
        help="more bad steps in a row end a run (default 10)",
    )
    add("--coordinator", metavar="HOST:PORT", help="several processes: where process 0 listens")
    add("--processes", type=cli.positive, metavar="N", help="several processes: how many")
    add("--process", type=cli.whole, metavar="I", help="several processes: which one this is, from 0")
    add("--distributed", action="store_true", help="several processes: find all that in the environment")


def _add_modes(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--evaluate", action="store_true", help="print the bits of --data under --checkpoint, and end")
    add("--checkpoint", metavar="FOLDER", help="with --evaluate: a --workdir, or a checkpoint folder")
    add("--weights", choices=("ema", "raw"), default="ema", help="with --evaluate: which weights (default ema)")
    add("--plot", nargs="+", default=[], metavar="WORKDIR", help="draw the curves of these runs into --out, and end")
    add("--out", metavar="PNG", help="with --plot: the picture")


def _check(options: Options) -> None:
    if options.plot:
        needed, mode = ("out",), "with --plot"
    elif options.evaluate:
        needed, mode = ("data", "checkpoint"), "with --evaluate"
    else:
        needed, mode = ("data", "stage", "workdir"), "to train"
    missing = [f"--{name}" for name in needed if getattr(options, name) is None]
    if missing:
        raise UserError(f"{' and '.join(missing)} must be given {mode} (see {PROG} --help)")
    if options.checkpoint and not options.evaluate:
        raise UserError("--checkpoint goes with --evaluate; training finds its checkpoints in --workdir")
    if options.out and not options.plot:
        raise UserError("--out goes with --plot")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got '{text}'") from None
