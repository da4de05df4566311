"""coltran-sample and coltran-colorize share these flags: the networks' checkpoints, and how colors are chosen."""

from __future__ import annotations

import dataclasses

from coltran import cli
from coltran.errors import UserError
from coltran.options import option
from coltran.sampling.choices import COMPUTE_DTYPES, MODES, SamplerOptions
from coltran.weights.kinds import WEIGHTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingFlags:
    """The flags of every command that samples. A command's own options inherit them, and may declare one again."""

    colorizer: str | None = option(
        None, metavar="FOLDER", help="checkpoint of stage colorizer; the word 'built_in' is the one of this package"
    )
    color_upsampler: str | None = option(
        None, metavar="FOLDER", help="checkpoint of stage color_upsampler, or 'built_in' (else coarse colors alone)"
    )
    spatial_upsampler: str | None = option(
        None,
        metavar="FOLDER",
        help="checkpoint of stage spatial_upsampler, or 'built_in' (else the low resolution's colors alone)",
    )
    weights: str = option("ema", choices=WEIGHTS, help="moving average of the weights, or the raw ones")
    compute_dtype: str = option(
        COMPUTE_DTYPES[0],
        choices=COMPUTE_DTYPES,
        help="of activations, whatever the checkpoints were trained in; bfloat16 is faster on accelerators, not exact",
    )
    mode: str = option(SamplerOptions.mode, choices=MODES, help="draw colors, or take the most likely of either head")
    temperature: float = option(
        SamplerOptions.temperature, help="divides the logits before drawing; below 1: safer colors"
    )
    top_k: int | None = option(
        SamplerOptions.top_k,
        shown="all 512",
        parse=cli.positive,
        metavar="K",
        help="draw from the K most likely colors only",
    )
    window: int = option(
        SamplerOptions.window,
        parse=cli.positive,
        metavar="P",
        help="pixels of a row that are forecast and checked at once: the same samples in fewer, larger steps",
    )


def refuse_equal_samples(mode: str, samples: int) -> None:
    """Raises UserError if several samples of an image are asked for in a mode that draws nothing."""
    if mode != "sample" and samples > 1:
        raise UserError(f"--samples {samples}: --mode {mode} gives one image, whatever the sample index")
