"""Trains one of the three networks, or prints the likelihood of a record folder.

    coltran-train --stage colorizer --config smoke --data records/train --validation records/holdout --workdir runs/c
    coltran-train --evaluate --data records/holdout --checkpoint runs/c

The first prints validation bits per pixel before and after, next to the entropy of the folder's coarse colors; about
a minute on 2 CPU cores. Run the same command again to go on after an interruption. The second prints bits and ends.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError

PROG = "coltran-train"
STAGES = ("colorizer", "color_upsampler", "spatial_upsampler")
TERMINATED_STATUS = 143  # 128 + SIGTERM, as shells report it
_TRAIN_OPTIONS = ("steps", "batch_size", "learning_rate", "ema_decay", "parallel_weight", "seed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The command line, typed; None where a preset's value is taken."""

    data: str
    evaluate: bool
    checkpoint: str | None
    weights: str
    stage: str | None
    config: str
    validation: str | None
    workdir: str | None
    steps: int | None
    batch_size: int | None
    learning_rate: float | None
    ema_decay: float | None
    parallel_weight: float | None
    seed: int
    checkpoint_every: int
    evaluate_every: int
    set: tuple[str, ...]


def parse(argv: Sequence[str]) -> Options:
    """Raises UserError for flags that are unknown, missing or contradictory."""
    parser = cli.Parser(PROG, __doc__)
    add = parser.add_argument
    add("--data", required=True, metavar="FOLDER", help="record folder to train on, or to evaluate")
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
    add("--batch_size", type=cli.positive, help="examples a step (default: the config's)")
    add("--learning_rate", type=_number, help="of RMSprop (default 3e-4; smoke 3e-3)")
    add("--ema_decay", type=_number, help="of the averaged weights (default 0.999; smoke 0.98)")
    add("--parallel_weight", type=cli.fraction, help="lambda of the parallel head's loss (default 0.01)")
    add("--seed", type=int, default=0, help="of weights, order and channels (default 0)")
    add("--checkpoint_every", type=cli.positive, default=1000, metavar="STEPS", help="default 1000")
    add("--evaluate_every", type=cli.positive, default=1000, metavar="STEPS", help="default 1000")
    add("--evaluate", action="store_true", help="print the bits of --data under --checkpoint, and end")
    add("--checkpoint", metavar="FOLDER", help="with --evaluate: a --workdir, or a checkpoint folder")
    add("--weights", choices=("ema", "raw"), default="ema", help="with --evaluate: which weights (default ema)")
    given = vars(parser.parse_args(argv))
    options = Options(**{**given, "set": tuple(given["set"])})
    needed = ("checkpoint",) if options.evaluate else ("stage", "workdir")
    missing = [f"--{name}" for name in needed if getattr(options, name) is None]
    if missing:
        mode = "with --evaluate" if options.evaluate else "to train"
        raise UserError(f"{' and '.join(missing)} must be given {mode} (see {PROG} --help)")
    if options.checkpoint and not options.evaluate:
        raise UserError("--checkpoint goes with --evaluate; training finds its checkpoints in --workdir")
    return options


def run(options: Options) -> int:
    """Trains or evaluates; returns the exit status. Raises UserError."""
    return _evaluate(options) if options.evaluate else _train(options)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    return cli.run_command(PROG, lambda: run(parse(arguments)))


def _train(options: Options) -> int:
    from coltran import inputs, training
    from coltran.train_options import train_options

    changes = {name: getattr(options, name) for name in _TRAIN_OPTIONS}
    training_options = train_options(options.stage, options.config, changes)
    config = _network_config(options, inputs.network_side(options.data, options.stage))
    with inputs.Examples(options.data, options.stage, config) as examples:
        validation = inputs.Examples(options.validation, options.stage, config) if options.validation else None
        if validation is not None:
            validation.check_size(config)
        trainer = training.Trainer(
            stage=options.stage,
            config=config,
            options=training_options,
            run=training.RunOptions(
                checkpoint_every=options.checkpoint_every,
                evaluate_every=options.evaluate_every,
                evaluation_batch_size=training_options.batch_size,
            ),
            workdir=options.workdir,
            training=examples,
            validation=validation,
        )
        print(f"{options.stage} ({options.config}): {training.describe(config)}, {len(examples):,} examples")
        if trainer.step:
            print(f"going on from step {trainer.step} of {options.workdir}")
        entropy = _entropy_line(options.stage, examples, training_options.seed)
        _print_bits(f"step {trainer.step}", trainer.evaluate(), entropy)
        if trainer.step < training_options.steps and not trainer.train():
            print(
                f"{PROG}: stopped by SIGTERM at step {trainer.step}, saved; the same command goes on", file=sys.stderr
            )
            return TERMINATED_STATUS
        _print_bits(f"step {trainer.step}", trainer.last_bits, entropy)
        print(f"checkpoint: {options.workdir}")
    return 0


def _network_config(options: Options, side: int):
    from coltran import config as configs
    from coltran import presets

    config = presets.network_config(options.stage, options.config, height=side, width=side)
    for name, text in _changes(options):
        if name in ("height", "width"):
            raise UserError(f"--set {name}={text}: the size follows the records; make records of another size instead")
        config = configs.replace_fields(config, {name: configs.parse_value(config, name, text)})
    configs.check_stage(options.stage, config)
    return config


def _changes(options: Options) -> list[tuple[str, str]]:
    """(field, value) of each --set."""
    for item in options.set:
        if "=" not in item:
            raise UserError(f"--set takes FIELD=VALUE, got {item!r}")
    return [tuple(item.split("=", 1)) for item in options.set]


def _entropy_line(stage: str, examples, seed: int) -> str:
    from coltran import inputs

    if stage != "colorizer":
        return ""
    entropy, count = inputs.coarse_entropy(examples, seed)
    return f"; entropy of the coarse-color histogram of {count:,} training images: {entropy:.4f} bits"


def _print_bits(when: str, bits: dict[str, float], note: str = "") -> None:
    text = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in bits.items())
    print(f"{when}: validation {text or 'not asked for (--validation)'}{note}", flush=True)


def _evaluate(options: Options) -> int:
    from coltran import checkpoint, inputs
    from coltran import config as configs
    from coltran.evaluate import evaluate, make_evaluator

    loaded = checkpoint.load(options.checkpoint, stage=options.stage)
    config = loaded.config
    for name, text in _changes(options):
        if name != "compute_dtype":
            raise UserError(f"--set {name}={text}: a checkpoint brings its config; only compute_dtype can be another")
        config = configs.replace_fields(config, {name: text})
    with inputs.Examples(options.data, loaded.stage, config) as examples:
        examples.check_size(config)
        flat = loaded.ema if options.weights == "ema" else loaded.weights
        size = options.batch_size or min(16, len(examples))
        bits = evaluate(make_evaluator(config), flat, examples, size)
        print(f"{loaded.stage}, step {loaded.step}, {options.weights} weights, {len(examples):,} examples")
        print(cli.table([(name.replace("_", " "), f"{value:.6f}") for name, value in bits.items()]))
    return 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got '{text}'") from None


if __name__ == "__main__":
    sys.exit(main())
