"""How a network is trained: typed options, and the paper's values for them (section 5.1)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from coltran.errors import UserError
from coltran.networks.config import STAGES, refuse_unknown

KEEP_CHECKPOINTS = 3

OPTIMIZERS = ("rmsprop", "adam")
SCHEDULES = ("constant", "cosine")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What decides on the trained weights, besides the network's config and the data.

    Attributes:
      steps: training ends after this many. A resumed run may change it, unless `schedule` is cosine.
      batch_size: examples a step, over all devices.
      optimizer: rmsprop (the paper's) or adam.
      learning_rate: at its highest.
      schedule: constant (the paper's), or cosine: down to 0 at `steps`.
      warmup_steps: the learning rate rises from 0 to its highest in these.
      clip_norm: longer gradients (Euclidean norm over all parameters) are shortened to this; 0 is off.
      ema_decay: of the moving average that is evaluated and sampled from.
      parallel_weight: lambda of equation 13 (the colorizer only).
      flip: mirror every second example at random (left and right).
      seed: of first weights, order of examples, choice of channels and flips.
    """

    steps: int
    batch_size: int
    optimizer: str = "rmsprop"
    learning_rate: float = 3e-4
    schedule: str = "constant"
    warmup_steps: int = 0
    clip_norm: float = 0.0
    ema_decay: float = 0.999
    parallel_weight: float = 0.01
    flip: bool = False
    seed: int = 0

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
                raise UserError(f"{name} must be {wanted}, got {getattr(self, name)}.")

    def difference(self, saved: Mapping[str, Any]) -> str | None:
        """'seed is 1, asked for 0' for the first option that a saved run had otherwise; None where it can go on.

        Options that the run's version did not have were at their defaults.
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
    """How a step is computed: the same numbers up to rounding, in other time and memory.

    Attributes:
      accumulate: a batch is computed in so many parts, one after the other.
      remat: activations inside a layer are computed again in the backward pass, not kept.
      max_skipped: more steps than this in a row without finite loss and gradient end the run.
    """

    accumulate: int = 1
    remat: bool = False
    max_skipped: int = 10


# Paper, section 5.1: 16 TPUv2 chips, RMSprop at a fixed 3e-4.
_PAPER = {
    "colorizer": {"steps": 600_000, "batch_size": 224},
    "color_upsampler": {"steps": 450_000, "batch_size": 768},
    "spatial_upsampler": {"steps": 300_000, "batch_size": 32},
}

# Paper, appendix D: 4 TPUv2 chips instead of 16.
_LOW_COMPUTE = {
    "colorizer": {"steps": 600_000, "batch_size": 56},
    "color_upsampler": {"steps": 450_000, "batch_size": 192},
    "spatial_upsampler": {"steps": 300_000, "batch_size": 16},
}

# About a minute on 2 CPU cores at 64x64. A short run needs a short moving average and larger steps.
_SMOKE = {
    "colorizer": {"steps": 200, "batch_size": 4, "learning_rate": 3e-3, "ema_decay": 0.98},
    "color_upsampler": {"steps": 200, "batch_size": 4, "learning_rate": 3e-3, "ema_decay": 0.98},
    "spatial_upsampler": {"steps": 60, "batch_size": 1, "learning_rate": 3e-3, "ema_decay": 0.98},
}


def train_options(stage: str, config_name: str, changes: Mapping[str, Any]) -> TrainOptions:
    """The options that go with a named config, with `changes` (None values are left out).

    What a whole run costs, by counted operations (coltran/networks/flops.py). Divided by what the devices reach
    together in training (benchmarks/training.py, TFLOP/s), it is the run's seconds:

        coltran, on 16 TPUv2 chips (section 5.1)       steps    batch   TFLOP a step   FLOP in all
          colorizer                                    600,000    224            222       1.33e20
          color_upsampler                              450,000    768            250       1.12e20
          spatial_upsampler                            300,000     32            140       4.21e19
        low_compute, on 4 TPUv2 chips (appendix D)
          colorizer                                    600,000     56             55       3.32e19
          color_upsampler                              450,000    192             62       2.81e19
          spatial_upsampler, 2 layers                  300,000     16             47       1.41e19

    At the rates that docs/training.md has measured, 2 CPU cores would need 310,000, 480,000 and 420,000 hours for the
    three of `coltran`, one H100 255, 206 and 75.

    `smoke` is for tiny networks on a CPU. All variants of the colorizer train as `coltran`.
    """
    refuse_unknown("stage", stage, STAGES)
    base = {"smoke": _SMOKE, "low_compute": _LOW_COMPUTE}.get(config_name, _PAPER)[stage]
    return TrainOptions(**{**base, **{name: value for name, value in changes.items() if value is not None}})


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What does not change the weights.

    Attributes:
      checkpoint_every, evaluate_every: steps.
      keep: newest checkpoints; the best is kept besides.
      samples: examples that are drawn at each evaluation; 0 for none.
    """

    checkpoint_every: int
    evaluate_every: int
    keep: int = KEEP_CHECKPOINTS
    samples: int = 0
