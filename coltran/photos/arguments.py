"""Defines the options of coltran-colorize and reads its command line."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.images import decoding, encoding
from coltran.options import add_flags, from_arguments, option
from coltran.photos import recolor
from coltran.sampling.arguments import SamplingFlags, refuse_equal_samples
from coltran.walking import SKIP_UNREADABLE_HELP
from coltran.weights.kinds import WEIGHTS

PROG = "coltran-colorize"
IMAGENET = "imagenet"
# A person who looks at one photo sees every improbable dot, so the defaults are safer than coltran-sample's; the best K
# of the paper's figure 6 are 4 and 8. With the model in the box, they keep three quarters of the truth's colorfulness,
# and the best of three samples is about as near to the truth as the mean color of each gray level
# (docs/reproduction.md).
TEMPERATURE, TOP_K = 0.92, 8
BATCH_SIZE = 16  # on a GPU or TPU; on a CPU, one photo would wait for fifteen others that do not exist
DESCRIPTION = """\
Colorize photos: files of any size and format in, the same photos in color out.

    coltran-colorize photo.jpg --samples 3 --out colored

writes colored/photo_sample0.png to photo_sample2.png at the photo's own size: color from the networks, light and dark
from the photo; and colored/contact_sheet.png, which shows the photo beside its samples. The networks are a small model
that ships with this package. For the paper's size, and other ones, give checkpoints:

    coltran-colorize photo.jpg --samples 3 --out colored --colorizer runs/colorizer \\
        --color_upsampler runs/color_upsampler --spatial_upsampler runs/spatial_upsampler

--weights imagenet takes the public networks of the paper's size, trained on ImageNet, and fetches them the first time.

Inputs may be several: files, folders (searched recursively; results lie as the photos do), patterns ('scans/**/*.tif'),
local or gs://. A color photo is treated as if it were gray, so that the result can be compared with it.

    coltran-colorize faces/ --out colored --colorizer runs/colorizer --color_upsampler runs/color_upsampler

stops after the color upsampler, as the paper does for 64x64 faces. --uncertainty adds photo_sample0_certainty.png, a
map of how sure the colorizer was at each pixel, and the numbers as .npy.

The same photo, seed, weights and --batch_size give the same colors, alone or among thousands, whatever its name: colors
are drawn by a hash of the file's bytes. Rerunning the command replaces its files with the same ones, and never a file
that it did not write. Files that are no usable image are named on stderr and in OUT/rejects.jsonl; the rest goes on.

Exit status: 0 all photos colorized, 1 some were rejected, 2 nothing could be done as asked.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SamplingFlags):
    """The options on the command line; see `--help`."""

    inputs: tuple[str, ...] = option(
        positional=True, metavar="PHOTOS", help="files, folders or patterns; local or gs://"
    )
    out: str = option(metavar="FOLDER", help="where the results go; local or gs://")
    colorizer: str | None = option(
        None,
        shown="the built-in model's",
        metavar="FOLDER",
        help="checkpoint of stage colorizer; the upsamplers of another one must be given, too",
    )
    weights: str = option(
        WEIGHTS[0],
        choices=(*WEIGHTS, IMAGENET),
        help=f"moving average of the weights, or the raw ones; '{IMAGENET}': the public networks of the paper's size",
    )
    temperature: float = option(
        TEMPERATURE, help="divides the logits before drawing; 1 is the model's own distribution"
    )
    top_k: int = option(
        TOP_K,
        parse=cli.positive,
        metavar="K",
        help="draw from the K most likely colors only; 512 draws from all, as coltran-sample does",
    )
    samples: int = option(1, parse=cli.positive, metavar="K", help="colorizations per photo, numbered from 0")
    seed: int = option(0, help="another seed, other colors")
    batch_size: int | None = option(
        None,
        parse=cli.positive,
        shown=f"{BATCH_SIZE}, on a CPU 1",
        metavar="N",
        help="images in one compiled program",
    )
    uncertainty: bool = option(False, help="also write each sample's map of the colorizer's certainty")
    fit: str = option(
        "squeeze",
        choices=recolor.FITS,
        help="how the networks see the photo in their square: squeezed, or whole with mirrored margins",
    )
    format: str = option("png", choices=encoding.FORMATS, help="of the results")
    max_pixels: int = option(decoding.MAX_PIXELS, parse=cli.positive, help="reject larger photos")
    skip_unreadable: bool = option(False, help=SKIP_UNREADABLE_HELP)
    sheet: int = option(8, metavar="ROWS", help="contact_sheet.png shows the first ROWS photos, 0 for none")

    def __post_init__(self) -> None:
        refuse_equal_samples(self.mode, self.samples)
        if self.colorizer is None and (self.color_upsampler or self.spatial_upsampler):
            raise UserError("--color_upsampler and --spatial_upsampler go with --colorizer: give it too")
        if self.weights == IMAGENET and self.colorizer is not None:
            raise UserError(f"--weights {IMAGENET} brings its own networks: leave --colorizer and the upsamplers out")
        if self.colorizer is None and self.weights not in (WEIGHTS[0], IMAGENET):
            raise UserError(f"--weights {self.weights}: the built-in model has its moving averages only")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"--seed {self.seed}: expected 0 to 2^32 - 1")
        if self.sheet < 0:
            raise UserError(f"--sheet {self.sheet}: expected a number of rows, or 0 for no contact sheet")


def parser() -> argparse.ArgumentParser:
    """Makes the command's parser, which ends the program on `--help`."""
    parser = cli.Parser(PROG, DESCRIPTION)
    add_flags(parser, Options)
    return parser


def parse(argv: Sequence[str] | None = None) -> Options:
    """Reads the command line. Raises UserError for flags that are unknown, missing or out of range."""
    return from_arguments(Options, parser().parse_args(argv))
