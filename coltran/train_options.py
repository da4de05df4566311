"""How a network is trained: typed options, and the paper's values for them (section 5.1)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from coltran.config import STAGES, refuse_unknown
from coltran.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What decides on the trained weights, besides the network's config and the data.

    Attributes:
      steps: training ends after this many; the only one of these that a resumed run may change.
      batch_size: examples a step.
      learning_rate: of RMSprop, constant.
      ema_decay: of the moving average that is evaluated and sampled from.
      parallel_weight: lambda of equation 13 (the colorizer only).
      seed: of first weights, order of examples and choice of channels.
    """

    steps: int
    batch_size: int
    learning_rate: float = 3e-4
    ema_decay: float = 0.999
    parallel_weight: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for name, ok, wanted in (
            ("steps", self.steps >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "above 0"),
            ("ema_decay", 0 <= self.ema_decay < 1, "at least 0 and below 1"),
            ("parallel_weight", 0 <= self.parallel_weight <= 1, "from 0 to 1"),
            ("seed", 0 <= self.seed < 2**32, "from 0 to 2^32 - 1"),
        ):
            if not ok:
                raise UserError(f"{name} must be {wanted}, got {getattr(self, name)}.")


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
    """The options that go with a named config, with `changes` (None values are left out)."""
    refuse_unknown("stage", stage, STAGES)
    base = {"smoke": _SMOKE, "low_compute": _LOW_COMPUTE}.get(config_name, _PAPER)[stage]
    return TrainOptions(**{**base, **{name: value for name, value in changes.items() if value is not None}})
