"""Defines the options of coltran-sample, and reads its command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.options import add_flags, from_arguments, option
from coltran.records import partition, schema
from coltran.sampling.arguments import SamplingFlags, refuse_equal_samples
from coltran.sampling.choices import COMPUTE_DTYPES, POOLINGS, SamplerOptions
from pipelines.beam.options import HELP

PROG = "coltran-sample"
COARSE = ("model", "truth")
DESCRIPTION = """\
Colorize a record folder: grayscale in, several samples per image out.

    coltran-sample --records records/holdout --colorizer runs/colorizer --color_upsampler runs/color_upsampler \\
        --spatial_upsampler runs/spatial_upsampler --out colorized --samples 3 --seed 1

reads gray_lo (and gray_hi) of every record and writes a record folder with the coarse colors, the 64x64 and the
256x256 images and the log-likelihood of each sample, and gallery.png, which shows some of them beside the truth. A
sample depends on (seed, key, sample index), the weights and --batch_size alone: never on the machine or the number of
workers, nor on what shares its batch. Prints how many images were made, and how fast. Interrupted runs go on where
they stopped: finished shards are kept.

    --num 5000 --part condition            the paper's FID: half of the images condition, the other half is the truth
    --coarse truth (no --colorizer)        the upsamplers on true coarse colors (paper, section 5.3)
    --mode parallel                        the parallel head's image, every pixel from gray alone (section 4.2)
    --pooling row --mode argmax            what the public release's own sampler gives
    --uncertainty FOLDER                   how sure the colorizer was, pixel by pixel, as arrays and pictures
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SamplingFlags):
    """The options of the command; `--help` explains them."""

    records: str = option(metavar="FOLDER", decides=False, help="record folder of coltran-preprocess; local or gs://")
    out: str = option(metavar="FOLDER", decides=False, help="record folder to write; local or gs://")
    seed: int = option(help="decides on the samples and the parts; write it down")
    samples: int = option(1, parse=cli.positive, metavar="K", help="samples per image, indexed from 0")
    num: int | None = option(
        None, shown="all", parse=cli.positive, metavar="N", help="colorize N images only, the first by hash"
    )
    part: str | None = option(
        None, shown="all", choices=partition.PARTS, help="half of the folder, by hash: FID wants 'condition' here"
    )
    pooling: str = option(SamplerOptions.pooling, choices=POOLINGS, help="'row' samples as the public release does")
    coarse: str = option("model", choices=COARSE, help="coarse colors of the colorizer, or the records' own")
    batch_size: int = option(16, parse=cli.positive, help="images in one compiled program")
    png_folder: str | None = option(None, metavar="FOLDER", decides=False, help="also write every image as a PNG")
    uncertainty: str | None = option(
        None,
        metavar="FOLDER",
        decides=False,
        help="also write each pixel's largest probability, as .npy and .png",
    )
    repair: bool = option(
        False, decides=False, help="make the damaged or missing shards of a finished folder again, and no others"
    )
    gallery: int = option(8, metavar="ROWS", decides=False, help="rows of gallery.png, 0 for none")

    def __post_init__(self) -> None:
        refuse_equal_samples(self.mode, self.samples)
        if self.coarse == "model" and self.colorizer is None:
            raise UserError("--colorizer is missing (only --coarse truth goes without)")
        if self.coarse == "truth":
            self._check_truth()

    def _check_truth(self) -> None:
        """Raises a UserError for options that make no sense without a colorizer."""
        given = {"--colorizer": self.colorizer, "--uncertainty": self.uncertainty}
        for name, value in given.items():
            if value is not None:
                raise UserError(f"{name}: --coarse truth takes the records' own coarse colors, no colorizer runs")
        if self.samples > 1:
            raise UserError(f"--samples {self.samples}: --coarse truth gives one image, whatever the sample index")
        if self.color_upsampler is None and self.spatial_upsampler is None:
            raise UserError("--coarse truth: give --color_upsampler, and --spatial_upsampler for high resolution")


def sampler_options(options: Options) -> SamplerOptions:
    """Returns the options of the sampler. It raises a UserError for values out of range."""
    return SamplerOptions(
        mode=options.mode,
        temperature=options.temperature,
        top_k=options.top_k,
        pooling=options.pooling,
        window=options.window,
    )


def needed_features(options: Options) -> list[str]:
    """Lists the features of a truth record that the options need."""
    needs = [schema.KEY, schema.CROP, schema.GRAY_LO]
    needs += [schema.GRAY_HI] if options.spatial_upsampler else []
    return needs + ([schema.COARSE_LO] if options.coarse == "truth" else [])


def fingerprinted(kept: Mapping[str, object]) -> dict[str, object]:
    """Returns what the fingerprint of a sampling covers, which is all of `kept` except two options at their defaults.

    So folders of versions that knew no other dtype, and no window, keep their fingerprint.
    """
    later = {"compute_dtype": COMPUTE_DTYPES[0], "window": SamplerOptions.window}
    return {name: value for name, value in kept.items() if name not in later or later[name] != value}


def parser() -> cli.Parser:
    """Makes the parser of coltran-sample. It leaves unknown flags for Beam."""
    made = cli.Parser(PROG, DESCRIPTION, epilog=HELP)
    add_flags(made, Options)
    return made


def parse(argv: Sequence[str] | None = None) -> tuple[Options, list[str]]:
    """Returns the job's options and the arguments that are left for Beam.

    Raises:
      UserError: a flag is wrong.
    """
    found, beam_arguments = parser().parse_known_args(argv)
    return from_arguments(Options, found), beam_arguments
