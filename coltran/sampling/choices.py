"""Lists the ways to choose colors from the networks' probabilities. It imports no JAX, so that `--help` can use it."""

from __future__ import annotations

import dataclasses
import math

from coltran.errors import UserError
from coltran.networks.config import refuse_unknown

MODES = ("sample", "argmax", "parallel")
POOLINGS = ("image", "row")
COMPUTE_DTYPES = ("float32", "bfloat16")  # of activations; the first is the default, whatever a checkpoint says


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """How a symbol is chosen from its distribution.

    Attributes:
      mode: `sample` draws. `argmax` takes the most likely symbol given the symbols before it. `parallel` takes the
        most likely symbol of the parallel head, which sees no other symbol (paper, section 4.2).
      temperature: divides the logits before drawing; 1 is the model's own distribution.
      top_k: draws only from the k most likely symbols (paper, appendix E); None for all.
      pooling: what the inner decoder's conditional layer norm pools. It is the whole `image`, as in training, or one
        `row`, as in the public release when it samples. Only `image` samples from the distribution that was trained.
      window: how many pixels of a row are forecast and checked at once (see `forecast.py`); 1 goes pixel by pixel.
        The samples are the same, but for the rounding of sums in another order.
      keep_logits: whether to return all logits too, [B,H,W,V].
    """

    mode: str = "sample"
    temperature: float = 1.0
    top_k: int | None = None
    pooling: str = "image"
    window: int = 1
    keep_logits: bool = False

    def __post_init__(self) -> None:
        refuse_unknown("mode", self.mode, MODES)
        refuse_unknown("pooling", self.pooling, POOLINGS)
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise UserError(f"temperature must be above 0, got {self.temperature} (mode 'argmax' is its limit at 0)")
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top_k must be at least 1, got {self.top_k}")
        if self.window < 1:
            raise UserError(f"window must be at least 1, got {self.window}")
