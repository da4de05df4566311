"""Defines how a network is trained with typed options, and the paper's values for them (section 5.1)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from coltran import cli
from coltran.errors import UserError
from coltran.networks.config import refuse_unknown
from coltran.options import option
from coltran.records.stages import STAGES

OPTIMIZERS = ("rmsprop", "adam")
SCHEDULES = ("constant", "cosine")
# These are the headings of `--help`.
LEARNING = "learning (all of it must stay the same when a run goes on)"
COMPUTING = "computing (may change from run to run)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options that determine the trained weights, together with the network's config and the data.

    The fields are also flags of coltran-train, whose help texts explain them. This is more about some of them:

    Attributes:
      steps: the number of steps; a resumed run may change it, unless `schedule` is cosine.
      clip_norm: the upper limit of the Euclidean norm over all parameters of a gradient.
      parallel_weight: lambda of equation 13 (only for the colorizer).
    """

    steps: int = option(parse=cli.positive, help="train up to this step")
    batch_size: int = option(parse=cli.positive, group=LEARNING, help="examples a step, over all devices")
    optimizer: str = option("rmsprop", choices=OPTIMIZERS, group=LEARNING, help="rmsprop is the paper's")
    learning_rate: float = option(3e-4, group=LEARNING, help="at its highest")
    schedule: str = option(
        "constant", choices=SCHEDULES, group=LEARNING, help="constant is the paper's; cosine ends at 0 at --steps"
    )
    warmup_steps: int = option(
        0, parse=cli.whole, metavar="STEPS", group=LEARNING, help="the learning rate rises from 0 in these"
    )
    clip_norm: float = option(0.0, metavar="NORM", group=LEARNING, help="shorten longer gradients to this; 0 is off")
    ema_decay: float = option(0.999, group=LEARNING, help="of the averaged weights")
    parallel_weight: float = option(0.01, parse=cli.fraction, group=LEARNING, help="lambda of the parallel head's loss")
    flip: bool = option(False, group=LEARNING, help="mirror every second example at random, left and right")
    seed: int = option(0, group=LEARNING, help="of first weights, order of examples, channels and flips")

    def __post_init__(self) -> None:
        refuse_unknown("optimizer", self.optimizer, OPTIMIZERS)
        refuse_unknown("schedule", self.schedule, SCHEDULES)
        for name, ok, wanted in (
            ("steps", self.steps >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "above 0"),
            ("warmup_steps", 0 <= self.warmup_steps < self.steps, f"at least 0 and below steps ({self.steps})"),
            ("clip_norm", 0 <= self.clip_norm < math.inf, "at least 0"),
            ("ema_decay", 0 <= self.ema_decay < 1, "at least 0 and below 1"),
            ("parallel_weight", 0 <= self.parallel_weight <= 1, "from 0 to 1"),
            ("seed", 0 <= self.seed < 2**32, "from 0 to 2^32 - 1"),
        ):
            if not ok:
                raise UserError(f"{name} must be {wanted}, got {getattr(self, name)}")

    def difference(self, saved: Mapping[str, Any]) -> str | None:
        """Tells which option differs in a saved run, as 'seed is 1, asked for 0'. Returns None if the run can go on.

        If the run's version did not have an option yet, the option's default counts.
        """
        for field in dataclasses.fields(self):
            wanted = getattr(self, field.name)
            old = saved.get(field.name, wanted if field.default is dataclasses.MISSING else field.default)
            may_change = field.name == "steps" and self.schedule == "constant"
            if old != wanted and not may_change:
                return f"{field.name} is {old!r}, asked for {wanted!r}"
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How to compute a step. The numbers stay the same up to rounding, but time and memory change.

    Its fields are flags of coltran-train.
    """

    accumulate: int = option(
        0,
        decides=False,
        parse=cli.whole,
        metavar="N",
        group=COMPUTING,
        help="compute a batch in N parts, one after the other, to save memory; 0 chooses what is fastest: 1, but on a "
        "CPU parts that fit its caches",
    )
    remat: bool = option(
        False,
        decides=False,
        group=COMPUTING,
        help="compute activations again in the backward pass, to save memory",
    )
    max_skipped: int = option(
        10,
        decides=False,
        parse=cli.whole,
        metavar="N",
        group=COMPUTING,
        help="a run ends after more steps than this in a row without finite loss and gradient",
    )


# Section 5.1 of the paper uses 16 TPUv2 chips and RMSprop at a fixed 3e-4.
_PAPER: dict[str, dict[str, Any]] = {
    "colorizer": {"steps": 600_000, "batch_size": 224},
    "color_upsampler": {"steps": 450_000, "batch_size": 768},
    "spatial_upsampler": {"steps": 300_000, "batch_size": 32},
}

# Appendix D of the paper uses 4 TPUv2 chips instead of 16.
_LOW_COMPUTE = {
    "colorizer": {"steps": 600_000, "batch_size": 56},
    "color_upsampler": {"steps": 450_000, "batch_size": 192},
    "spatial_upsampler": {"steps": 300_000, "batch_size": 16},
}

# Tiny networks learn at ten times the paper's learning rate, and the spatial upsampler, where RMSprop ends at 4.9 bits
# after 400 steps of 32x32, with Adam at 1e-2 (4.3 bits). A short run needs a short moving average.
_SMOKE: dict[str, dict[str, Any]] = {
    "colorizer": {"steps": 1600, "batch_size": 4, "learning_rate": 3e-3, "ema_decay": 0.98},
    "color_upsampler": {"steps": 800, "batch_size": 4, "learning_rate": 3e-3, "ema_decay": 0.98},
    "spatial_upsampler": {
        "steps": 800,
        "batch_size": 4,
        "optimizer": "adam",
        "learning_rate": 1e-2,
        "ema_decay": 0.98,
    },
}


def train_options(stage: str, config_name: str, changes: Mapping[str, Any]) -> TrainOptions:
    """Makes the options that go with a named config. `changes` replace its values, unless they are None.

    The table lists the counted operations of a whole run (coltran/networks/flops.py). Divided by the TFLOP/s that the
    devices reach together in training (benchmarks/training.py), they give the run's seconds:

        coltran, on 16 TPUv2 chips (section 5.1)       steps    batch   TFLOP a step   FLOP in all
          colorizer                                    600,000    224            222       1.33e20
          color_upsampler                              450,000    768            250       1.12e20
          spatial_upsampler                            300,000     32            140       4.21e19
        low_compute, on 4 TPUv2 chips (appendix D)
          colorizer                                    600,000     56             55       3.32e19
          color_upsampler                              450,000    192             62       2.81e19
          spatial_upsampler, 2 layers                  300,000     16             47       1.41e19

    At the rates in docs/training.md, 2 CPU cores would need 310,000, 480,000 and 420,000 hours for the three networks
    of `coltran`. One H100 would need 255, 206 and 75 hours.

    `smoke` is for tiny networks on a CPU. All variants of the colorizer train as `coltran` does.
    """
    refuse_unknown("stage", stage, STAGES)
    presets: dict[str, dict[str, dict[str, Any]]] = {"smoke": _SMOKE, "low_compute": _LOW_COMPUTE}
    base = presets.get(config_name, _PAPER)[stage]
    return TrainOptions(**{**base, **{name: value for name, value in changes.items() if value is not None}})


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What to save and measure, and how often. This does not change the weights.

    Its fields are flags of coltran-train.
    """

    checkpoint_every: int = option(
        1000, decides=False, parse=cli.positive, metavar="STEPS", help="save a checkpoint after so many steps"
    )
    evaluate_every: int = option(
        1000, decides=False, parse=cli.positive, metavar="STEPS", help="measure the bits of --validation as often"
    )
    evaluate_images: int = option(
        1000,
        decides=False,
        parse=cli.whole,
        metavar="N",
        help="images of --validation to measure then, by a hash of their keys, 0 for all; the end measures all",
    )
    log_every: int = option(
        10, decides=False, parse=cli.positive, metavar="STEPS", help="log loss and rates after so many steps"
    )
    keep: int = option(
        3, decides=False, parse=cli.positive, metavar="N", help="newest checkpoints to keep, and the best besides"
    )
    samples: int = option(
        4, decides=False, parse=cli.whole, metavar="N", help="validation images drawn at evaluations, 0 for none"
    )
