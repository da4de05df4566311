"""Trains one of the three networks, prints the likelihood of a record folder, or draws curves.

    coltran-train --stage colorizer --config smoke --data records/train --validation records/holdout --workdir runs/c
    coltran-train --evaluate --data records/holdout --checkpoint runs/c --json bits.json
    coltran-train --plot runs/c --out curves.png

The first prints validation bits per pixel before and after, next to the entropy of the folder's coarse colors; a few
minutes on 2 CPU cores for records of --lo 32. Run the same command again to go on after an interruption. The second
prints bits and ends; its --json holds those of each image. The third draws training loss and validation bits of one or
several runs. On several machines the same command runs on each: docs/training.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coltran import cli
from coltran.errors import UserError
from coltran.training import arguments as train_arguments
from coltran.training.arguments import PROG, Options

if TYPE_CHECKING:
    from coltran.networks.config import NetworkConfig
    from coltran.training.inputs import Examples
    from coltran.training.options import TrainOptions
    from coltran.training.trainer import Trainer

TERMINATED_STATUS = 143  # 128 + SIGTERM, as shells report it


def parse(argv: Sequence[str]) -> Options:
    """Reads the command line. Raises UserError for flags that are unknown, missing or contradictory."""
    return train_arguments.parse(argv, __doc__)


def run(options: Options) -> int:
    """Trains, evaluates or draws, and returns the exit status. Raises UserError for what the user can correct."""
    if options.plot:
        return _plot(options)
    return _evaluate(options) if options.evaluate else _train(options)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    return cli.run_command(PROG, lambda: run(parse(arguments)))


def _train(options: Options) -> int:
    from coltran.training import inputs
    from coltran.training.options import train_options

    data, stage = options.needed("data"), options.needed("stage")
    training_options = train_options(stage, options.config, options.learning)
    config = _network_config(options, inputs.network_side(data, stage))
    # These import JAX, which takes seconds. What the options and the records do not allow is refused before.
    import jax

    from coltran.training import mesh, workdir_lock

    hosts = mesh.Hosts(
        coordinator=options.coordinator,
        processes=options.processes,
        process=options.process,
        detect=options.distributed,
    )
    hosts.join()
    with workdir_lock.held(options.needed("workdir")), inputs.Examples(data, stage, config) as examples:
        # Only process 0 writes checkpoints, so only it has to know what they say.
        facts, entropy = _entropy(stage, examples, training_options.seed) if mesh.is_primary() else ({}, "")
        trainer = _trainer(options, training_options, config, examples, facts)
        say = print if mesh.is_primary() else _say_nothing
        say(f"{stage} ({options.config}): {_size(config)}, {len(examples):,} examples")
        if trainer.placement.mesh.size > 1 or jax.default_backend() != "cpu":
            say(trainer.placement.describe())
        if trainer.step:
            say(f"going on from step {trainer.step} of {options.workdir}")
        if trainer.validation is not None:
            say(trainer.validation.describe())
        if trainer.step < training_options.steps:
            say(_bits_line(trainer.step, trainer.evaluate(everything=False), entropy), flush=True)
            with mesh.leaving_together(PROG):
                finished = trainer.train()
            if not finished:
                reached = f"stopped by SIGTERM at step {trainer.step}, saved; the same command goes on"
                print(f"{PROG}: {reached}", file=sys.stderr)
                return TERMINATED_STATUS
        # A run that had ended before has measured nothing yet.
        say(_bits_line(trainer.step, trainer.last_bits or trainer.evaluate(), entropy))
        say(f"checkpoint: {options.workdir}")
    return 0


def _trainer(
    options: Options,
    training_options: TrainOptions,
    config: NetworkConfig,
    examples: Examples,
    facts: Mapping[str, float],
) -> Trainer:
    from coltran.training import inputs, trainer
    from coltran.training.mesh import Placement

    stage = options.needed("stage")
    validation = inputs.Examples(options.validation, stage, config) if options.validation else None
    if validation is not None:
        validation.check_size(config)
    return trainer.Trainer(
        stage=stage,
        config=config,
        options=training_options,
        run=options.run,
        how=options.how,
        workdir=options.needed("workdir"),
        training=examples,
        validation=validation,
        placement=Placement(shard_parameters=options.shard_parameters),
        facts=facts,
    )


def _say_nothing(*_: object, **__: object) -> None:
    """Prints nothing, in all processes but the first."""


def _size(config: NetworkConfig) -> str:
    from coltran.weights import parameters

    return parameters.describe(config)


def _plot(options: Options) -> int:
    from coltran import storage
    from coltran.training import curves

    path = options.needed("out")
    if storage.exists(path) and not curves.is_drawn_here(storage.read_bytes(path)):
        raise UserError(f"{path}: --plot did not draw that file and would replace it; give --out another name")
    storage.write_bytes(path, curves.draw(options.plot))
    print(f"curves: {options.out}")
    return 0


def _network_config(options: Options, side: int) -> NetworkConfig:
    from coltran.networks import config as configs, presets

    stage = options.needed("stage")
    config = presets.network_config(stage, options.config, height=side, width=side)
    for name, text in _changes(options):
        if name in ("height", "width"):
            raise UserError(f"--set {name}={text}: the size follows the records; make records of another size instead")
        config = configs.replace_fields(config, {name: configs.parse_value(config, name, text)})
    configs.check_stage(stage, config)
    return config


def _changes(options: Options) -> list[tuple[str, str]]:
    """Lists (field, value) of each --set."""
    changes = []
    for item in options.set:
        name, equals, value = item.partition("=")
        if not equals:
            raise UserError(f"--set takes FIELD=VALUE, got {item!r}")
        changes.append((name, value))
    return changes


def _entropy(stage: str, examples: Examples, seed: int) -> tuple[dict[str, float], str]:
    """Measures the entropy of a colorizer's training colors. Returns it for the checkpoints, and the text about it."""
    from coltran.training import inputs
    from coltran.weights.maturity import HISTOGRAM_BITS

    if stage != "colorizer":
        return {}, ""
    entropy, count = inputs.coarse_entropy(examples, seed)
    what = f"entropy of the coarse-color histogram of {count:,} training images"
    return {HISTOGRAM_BITS: entropy}, f"; {what}: {entropy:.4f} bits"


def _bits_line(step: int, bits: dict[str, float], note: str = "") -> str:
    text = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in bits.items())
    return f"step {step}: validation {text or 'not asked for (--validation)'}{note}"


def _evaluate(options: Options) -> int:
    import json

    from coltran import storage
    from coltran.networks import config as configs
    from coltran.training import inputs
    from coltran.weights import checkpoint

    loaded = checkpoint.load(options.needed("checkpoint"), stage=options.stage)
    config = loaded.config
    for name, text in _changes(options):
        if name != "compute_dtype":
            raise UserError(f"--set {name}={text}: a checkpoint brings its config; only compute_dtype can be another")
        config = configs.replace_fields(config, {name: text})
    from coltran.training.evaluation import bits_of_examples, described, make_evaluator  # imports JAX
    from coltran.training.mesh import Placement

    with inputs.Examples(options.needed("data"), loaded.stage, config) as examples:
        examples.check_size(config)
        flat = loaded.ema if options.weights == "ema" else loaded.weights
        placement = Placement()
        size = placement.round_up(options.learning.get("batch_size") or min(16, len(examples)))
        weights = {options.weights: placement.put(flat)}
        evaluator = make_evaluator(config, placement)
        bits = bits_of_examples(evaluator, weights, examples, size, placement)[options.weights]
        print(f"{loaded.stage}, step {loaded.step}, {options.weights} weights, {len(examples):,} examples")
        print(cli.table([(name.replace("_", " "), f"{values.mean():.6f}") for name, values in bits.items()]))
        if options.json:
            content = described(loaded, options.weights, config.compute_dtype, examples, bits)
            storage.write_bytes(options.json, json.dumps(content, indent=1).encode() + b"\n")
            print(f"bits of each image: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
