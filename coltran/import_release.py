"""Turns a checkpoint of the public ColTran release into one of this project, or back.

    coltran-import --from gs://gresearch/coltran/colorizer_v2 --to runs/colorizer
    coltran-import --export --from runs/colorizer --to released/colorizer

Which of the three networks it is, and its sizes, are read from the variables; every variable must be there, fit, and be
used. The first command takes the averaged weights, which the paper's numbers are made with; the raw ones come along.
The second writes what the release's own program reads, without the optimizer's state.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coltran import cli
from coltran.errors import UserError
from coltran.options import add_flags, from_arguments, option
from coltran.weights.kinds import WEIGHTS

if TYPE_CHECKING:
    import numpy as np

    from coltran.networks.config import NetworkConfig
    from coltran.release.variables import ReleaseVariables

PROG = "coltran-import"
_ORIGIN = "imported_from"
_AVERAGES = WEIGHTS[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options on the command line; see `--help`."""

    source: str = option(name="from", metavar="FOLDER", help="public checkpoint: folder or prefix, may be gs://")
    target: str = option(name="to", metavar="FOLDER", help="new checkpoint folder")
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
    if options.export and (options.weights or options.step is not None):
        raise UserError("--weights and --step choose what to import; --export writes all of the newest checkpoint")
    return options


def run(options: Options) -> int:
    """Imports or exports, and returns the exit status. Raises UserError for what the user can correct."""
    print(cli.table(_export(options) if options.export else _import(options)))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    return cli.run_command(PROG, lambda: run(parse(arguments)))


def convert(
    variables: ReleaseVariables, weights: str
) -> tuple[str, NetworkConfig, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Turns a release's variables into parameters of this project.

    Args:
      variables: the variables of a public checkpoint.
      weights: `ema` takes the moving averages, and the raw weights beside them; `raw` takes the raw ones for both, so
        that everything that samples from the checkpoint uses them.

    Returns:
      The stage, its config, and the averaged and the raw parameters, each as {name: float32 array}.

    Raises:
      UserError: a variable is missing, left over or of another shape, or config.yaml contradicts the shapes.
    """
    from coltran.release import config as release_config, names as release_names

    chosen = variables.raw if weights == "raw" else _averaged(variables)
    stage, config = release_config.infer({name: array.shape for name, array in chosen.items()})
    if variables.config_text is not None:
        folder = variables.path.rpartition("/")[0]
        release_config.check_yaml(stage, config, variables.config_text, f"{folder}/config.yaml")
    ema = release_names.from_release(stage, config, chosen)
    return stage, config, ema, release_names.from_release(stage, config, variables.raw)


def _averaged(variables: ReleaseVariables) -> dict[str, np.ndarray]:
    """Returns the moving averages and the fixed gamma and beta, which have no moving average."""
    from coltran.release.names import is_fixed

    fixed = {name: array for name, array in variables.raw.items() if is_fixed(name)}
    if not variables.averaged:
        raise UserError(f"{variables.path} has no averaged weights; --weights=raw takes the others")
    lonely = [name for name in variables.raw if name not in variables.averaged and name not in fixed]
    if lonely:
        name = lonely[0].removesuffix(":0")
        raise UserError(f"variable {name}/ExponentialMovingAverage:0 is missing, or {name}:0 is left over")
    return {**variables.averaged, **fixed}


def _import(options: Options) -> list[tuple[str, object]]:
    from coltran import storage
    from coltran.release import variables as release_variables
    from coltran.weights import checkpoint, parameters

    storage.check_access(options.target)
    weights = options.weights or _AVERAGES
    variables = release_variables.read(options.source, options.step)
    try:
        stage, config, ema, raw = convert(variables, weights)
    except UserError as error:
        raise UserError(f"{variables.path}: {error}") from None
    step = variables.step or 0
    for old in checkpoint.finished_steps(options.target):
        metadata = checkpoint.read_metadata(checkpoint.step_folder(options.target, old))
        if old != step or _ORIGIN not in metadata.get("training", {}):
            raise UserError(f"{options.target} holds a checkpoint of step {old} already: give a new folder")
    origin = {_ORIGIN: variables.path, "weights": weights}
    written = checkpoint.save(
        options.target, stage=stage, config=config, step=step, ema=ema, weights=raw, training=origin
    )
    return [
        ("network", f"{stage}, {parameters.describe(config)}"),
        ("variables", f"{len(variables.raw)}, each used once"),
        ("training step", f"{step:,}" if variables.step is not None else "unknown (taken as 0)"),
        ("weights", "moving averages" if weights == _AVERAGES else "raw"),
        ("sha256", parameters.checksum(ema)),
        ("checkpoint", written),
    ]


def _export(options: Options) -> list[tuple[str, object]]:
    import yaml

    from coltran.release import config as release_config, names as release_names, variables as release_variables
    from coltran.training.options import TrainOptions
    from coltran.weights import checkpoint, parameters

    loaded = checkpoint.load(options.source)
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
        options.target,
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
