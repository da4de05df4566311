"""Options of coltran-colorize, and how its command line is read."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.images import decoding, encoding
from coltran.photos import recolor
from coltran.sampling.arguments import add_sampling_flags, refuse_equal_samples

PROG = "coltran-colorize"
DESCRIPTION = """\
Colorize photos: files of any size and format in, the same photos in color out.

    coltran-colorize photo.jpg --samples 3 --out colored --colorizer runs/colorizer \\
        --color_upsampler runs/color_upsampler --spatial_upsampler runs/spatial_upsampler

writes colored/photo_sample0.png to photo_sample2.png at the photo's own size: color from the networks, light and dark
from the photo; and colored/contact_sheet.png, which shows the photo beside its samples. Inputs may be several: files,
folders (searched recursively; results lie as the photos do), patterns ('scans/**/*.tif'), local or gs://. A color photo
is treated as if it were gray, so that the result can be compared with it.

    coltran-colorize faces/ --out colored --colorizer runs/colorizer --color_upsampler runs/color_upsampler

stops after the color upsampler, as the paper does for 64x64 faces, and enlarges that color smoothly. --uncertainty adds
photo_sample0_certainty.png, a map of how sure the colorizer was at each pixel, and the numbers as .npy.

The same photo, seed, weights and --batch_size give the same colors, alone or among thousands, whatever its name: colors
are drawn by a hash of the file's bytes. Rerunning the command replaces its files with the same ones. Files that are no
usable image are named on stderr and in OUT/rejects.jsonl, and the rest goes on.

Exit status: 0 all photos colorized, 1 some were rejected, 2 nothing could be done as asked.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says; see `--help`."""

    inputs: tuple[str, ...]
    out: str
    colorizer: str
    color_upsampler: str | None = None
    spatial_upsampler: str | None = None
    samples: int = 1
    seed: int = 0
    mode: str = "sample"
    temperature: float = 1.0
    top_k: int | None = None
    weights: str = "ema"
    batch_size: int | None = None
    uncertainty: bool = False
    fit: str = "squeeze"
    format: str = "png"
    max_pixels: int = decoding.MAX_PIXELS
    sheet: int = 8

    def __post_init__(self) -> None:
        refuse_equal_samples(self.mode, self.samples)
        if not 0 <= self.seed < 2**32:
            raise UserError(f"--seed {self.seed}: expected 0 to 2^32 - 1")
        if self.sheet < 0:
            raise UserError(f"--sheet {self.sheet}: expected a number of rows, or 0 for no contact sheet")


def parser() -> argparse.ArgumentParser:
    parser = cli.Parser(PROG, DESCRIPTION)
    add = parser.add_argument
    add("inputs", nargs="+", metavar="PHOTOS", help="files, folders or patterns; local or gs://")
    add("--out", required=True, metavar="FOLDER", help="where the results go; local or gs://")
    add_sampling_flags(parser, colorizer_required=True)
    add("--samples", type=cli.positive, default=1, metavar="K", help="colorizations per photo, numbered from 0 (1)")
    add("--seed", type=int, default=0, help="another seed, other colors (0)")
    add("--batch_size", type=cli.positive, metavar="N", help="images in one compiled program (16, on a CPU 1)")
    add("--uncertainty", action="store_true", help="also write each sample's map of the colorizer's certainty")
    add(
        "--fit",
        choices=recolor.FITS,
        default="squeeze",
        help="how the networks see the photo in their square: squeezed, or whole with mirrored margins (squeeze)",
    )
    add("--format", choices=tuple(encoding.FORMATS), default="png", help="of the results (png)")
    add(
        "--max_pixels", type=cli.positive, default=decoding.MAX_PIXELS, help="reject larger photos (100 million pixels)"
    )
    add(
        "--sheet",
        type=int,
        default=8,
        metavar="ROWS",
        help="contact_sheet.png shows the first ROWS photos, 0 for none (8)",
    )
    return parser


def parse(argv: Sequence[str] | None = None) -> Options:
    """Raises UserError for flags that are unknown, missing or out of range."""
    found = vars(parser().parse_args(argv))
    return Options(**found | {"inputs": tuple(found["inputs"])})
