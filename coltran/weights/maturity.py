"""Tells which networks were trained too little for their samples to look like colors.

The rule judges only checkpoints of coltran-train. Imported networks and the one that ships have no such record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coltran.weights import checkpoint

# What coltran-train writes to `training` in checkpoint.json, and nobody else does.
FINGERPRINT = "data_fingerprint"
HISTOGRAM_BITS = "histogram_bits"  # the entropy of the training images' coarse colors, of colorizers alone
# The tiny networks of `smoke` pass the bounds below after 20 to 190 steps, larger ones at lower learning rates later.
FEWEST_STEPS = 200
_BITS = {"colorizer": "decoder_bits_per_pixel"}
_CHANNEL_BITS = "bits_per_dim"
# The levels of a channel take log2(256 / 8) bits if its coarse color is known and nothing else.
_UPSAMPLER_BOUND = 5.0
_REMEDY = "expect speckle and wrong colors, and train it for more --steps"


def doubts(networks: Mapping[str, str | Path | None]) -> Iterator[str]:
    """Yields a line for each network that was trained too little to sample from.

    Args:
      networks: {stage: checkpoint folder, `built_in` or None}.

    Raises:
      UserError: a folder holds no checkpoint of its stage.
    """
    for stage, folder in networks.items():
        if folder is None:
            continue
        path, _, _, metadata = checkpoint.describe(folder, stage=stage)
        reason = doubt(stage, metadata)
        if reason is not None:
            yield f"{path}: this {stage} {reason}; {_REMEDY}"


def doubt(stage: str, metadata: Mapping[str, Any]) -> str | None:
    """Returns why samples of a network will not look like colors, or None if nothing is known against it.

    Args:
      stage: the network's stage.
      metadata: the content of its checkpoint.json.
    """
    training, step = metadata.get("training", {}), metadata["step"]
    if FINGERPRINT not in training:
        return None
    bits = metadata.get("validation", {}).get(_BITS.get(stage, _CHANNEL_BITS))
    bound = training.get(HISTOGRAM_BITS) if stage == "colorizer" else _UPSAMPLER_BOUND
    if bits is not None and bound is not None and bits > bound:
        known = "how often each color occurs" if stage == "colorizer" else "the coarse color alone"
        each = "pixel" if stage == "colorizer" else "channel"
        return f"needs {bits:.2f} bits a {each} on validation images, and {known} would need {bound:.2f}"
    if step < FEWEST_STEPS:
        return f"was trained for {step} steps, fewer than {FEWEST_STEPS}"
    return None
