"""Turns a checkpoint of the public ColTran release into one of this project, or back.

    coltran-import --from gs://gresearch/coltran/colorizer_v2 --to runs/colorizer
    coltran-import --public
    coltran-import --export --from runs/colorizer --to released/colorizer

Which of the three networks it is, and its sizes, are read from the variables; every variable must be there, fit, and be
used. The first command takes the averaged weights, which the paper's numbers are made with; the raw ones come along.
The second fetches all three ImageNet networks of the release (gs://gresearch/coltran, without credentials) and converts
them, into --to or the cache, where `coltran-colorize --weights imagenet` finds them. Run again, it goes on. The
third writes what the release's own program reads, without the optimizer's state.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.options import add_flags, from_arguments, option
from coltran.weights.kinds import WEIGHTS

PROG = "coltran-import"
_AVERAGES = WEIGHTS[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options on the command line; see `--help`."""

    source: str | None = option(
        None, name="from", metavar="FOLDER", help="public checkpoint: folder or prefix, may be gs://"
    )
    target: str | None = option(
        None, name="to", metavar="FOLDER", shown="with --public the cache", help="new checkpoint folder"
    )
    public: bool = option(False, help="fetch and convert the three ImageNet networks of the public release")
    weights: str | None = option(
        None,
        choices=WEIGHTS,
        shown=f"{_AVERAGES}, the averages",
        help="what sampling and evaluation will use",
    )
    step: int | None = option(
        None, parse=cli.whole, shown="its newest", metavar="N", help="take model-N of a public folder"
    )
    export: bool = option(False, help="from our checkpoint to the release's format")


def parse(argv: Sequence[str]) -> Options:
    """Reads the command line. Raises UserError for flags that are unknown, missing or contradictory."""
    parser = cli.Parser(PROG, __doc__)
    add_flags(parser, Options)
    options = from_arguments(Options, parser.parse_args(argv))
    _check(options)
    if options.export and (options.weights or options.step is not None):
        raise UserError("--weights and --step choose what to import; --export writes all of the newest checkpoint")
    return options


def _check(options: Options) -> None:
    if options.public:
        others = (options.source, options.weights, options.step, options.export or None)
        if any(value is not None for value in others):
            raise UserError("--public takes all three networks as they are published: give it alone, or with --to")
        return
    missing = [name for name, value in (("--from", options.source), ("--to", options.target)) if value is None]
    if missing:
        raise UserError(f"{' and '.join(missing)} must be given, or --public (see {PROG} --help)")


def run(options: Options) -> int:
    """Imports or exports, and returns the exit status. Raises UserError for what the user can correct."""
    if options.public:
        return _fetch_public(options)
    assert options.source is not None  # `parse` has checked it
    assert options.target is not None
    if options.export:
        print(cli.table(_export(options.source, options.target)))
        return 0
    from coltran.release import conversion

    weights = options.weights or _AVERAGES
    print(cli.table(conversion.import_checkpoint(options.source, options.target, weights=weights, step=options.step)))
    return 0


def _fetch_public(options: Options) -> int:
    from coltran.release import public

    print(cli.table(list(public.fetch(options.target))))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    return cli.run_command(PROG, lambda: run(parse(arguments)))


def _export(source: str, target: str) -> list[tuple[str, object]]:
    import yaml

    from coltran.release import config as release_config, names as release_names, variables as release_variables
    from coltran.training.options import TrainOptions
    from coltran.weights import checkpoint, parameters

    loaded = checkpoint.load(source)
    stage, config = loaded.stage, loaded.config
    model = release_config.release_model_config(stage, config)
    learning_rate = float(loaded.training.get("learning_rate", TrainOptions.learning_rate))
    program = {
        "model": model,
        "optimizer": {"type": "rmsprop", "learning_rate": learning_rate},
        "polyak_decay": float(loaded.training.get("ema_decay", TrainOptions.ema_decay)),
    }
    raw = release_names.to_release(stage, config, loaded.weights)
    prefix = release_variables.write(
        target,
        raw={**raw, **release_names.fixed_variables(stage, config)},
        averaged=release_names.to_release(stage, config, loaded.ema),
        step=loaded.step,
        learning_rate=learning_rate,
        config_text=yaml.safe_dump(program, default_flow_style=None),
    )
    return [
        ("network", f"{stage}, {parameters.describe(config)}"),
        ("training step", f"{loaded.step:,}"),
        ("sha256", loaded.ema_sha256),
        ("checkpoint", prefix),
    ]


if __name__ == "__main__":
    sys.exit(main())
