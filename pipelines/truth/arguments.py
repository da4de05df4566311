"""Options of coltran-preprocess, and how its command line is read."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.images import decoding
from coltran.records import pixel_codec, schema
from pipelines.beam.options import HELP
from pipelines.sources.files import KINDS

DESCRIPTION = """\
Photos in, a record folder out.

    coltran-preprocess --source photos/ --out records/train --split train

reads ImageNet as people have it: a folder of images (class folders or loose files), the official tars, Kaggle's zip,
TFRecords of TensorFlow Datasets or of the ImageNet scripts, or Hugging Face's Parquet files, and writes sharded
TFRecords with, for each photo, the 256x256 and 64x64 images, their grayscale, and the 512 coarse colors at 64x64.
Prints how many images were read, written and rejected, and why. On 2 cores, over a hundred photos a second.
Interrupted runs go on where they stopped; a finished one is not repeated.

    coltran-preprocess --source photos/ --out records/train --dry_run     how many, how large, how long
    coltran-preprocess --verify records/train       checks every shard; exit status 1 if anything is wrong
    coltran-preprocess --describe records/train     prints what is in the folder
"""
PROG = "coltran-preprocess"
SPLITS = ("train", "holdout", "validation")
CROPS = ("auto", "center", "random")
STAGES = {
    "colorizer": (schema.GRAY_LO, schema.COARSE_LO),
    "color_upsampler": (schema.GRAY_LO, schema.COARSE_LO, schema.RGB_LO),
    "spatial_upsampler": (schema.GRAY_HI, schema.RGB_LO, schema.RGB_HI),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says; see `--help`."""

    source: str
    out: str
    split: str = "train"
    source_kind: str | None = None
    labels: str | None = None
    hi: int | None = 256
    lo: int = 64
    stages: tuple[str, ...] = tuple(STAGES)
    crop: str = "auto"
    crops: int = 1
    holdout: int | None = None
    limit: int | None = None
    num_shards: int | None = None
    encoding: str = pixel_codec.RAW
    seed: int = 0
    icc: str = "srgb"
    max_pixels: int = decoding.MAX_PIXELS
    min_side: int = decoding.MIN_SIDE
    max_reject_fraction: float = 0.01
    dry_run: bool = False

    @property
    def sizes(self) -> schema.Sizes:
        return schema.Sizes(lo=self.lo, hi=self.hi)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that the stages need, in the schema's order."""
        wanted = schema.TRUTH.required.union(*(STAGES[stage] for stage in self.stages))
        return tuple(
            name
            for name, feature in schema.TRUTH.features.items()
            if name in wanted and not (feature.resolution == "hi" and self.hi is None)
        )

    @property
    def random_crop(self) -> bool:
        return self.crop == "random" or (self.crop == "auto" and self.split == "train")


def parser() -> argparse.ArgumentParser:
    parser = cli.Parser(PROG, DESCRIPTION, epilog=HELP)
    add = parser.add_argument
    add("--source", metavar="PATH", help="folder, file, or pattern ('photos/**/*.jpg'); local or gs://")
    add("--out", metavar="FOLDER", help="record folder to write; local or gs://")
    add("--verify", metavar="FOLDER", help="instead: check every shard of a finished record folder")
    add("--describe", metavar="FOLDER", help="instead: say what a finished record folder holds")
    add("--split", choices=SPLITS, default="train", help="which images to take, and the shards' name (train)")
    add("--source_kind", choices=KINDS, help="what the source holds (found out by looking)")
    add(
        "--labels",
        metavar="PATH",
        help="classes of validation images: devkit, Kaggle's LOC_val_solution.csv, or lines of 'name label' "
        "(what lies in or beside the source)",
    )
    add("--hi", type=_resolution, default=256, help="pixels a side of the high resolution, or 'none' (256)")
    add("--lo", type=cli.positive, default=64, help="pixels a side of the low resolution (64)")
    add("--stages", type=_stages, default=tuple(STAGES), help=f"networks to write for, of {','.join(STAGES)} (all)")
    add("--crop", choices=CROPS, default="auto", help="square crop: random by hash for train, else center (auto)")
    add("--crops", type=cli.positive, default=1, metavar="K", help="random crops, and so records, of each image (1)")
    add(
        "--holdout",
        type=_count,
        metavar="N",
        help="training images to keep for --split holdout; same N and seed for both (10000 of 50000 or more, else 0)",
    )
    add("--limit", type=cli.positive, metavar="N", help="take only N images, chosen by hash of (seed, name) (all)")
    add("--num_shards", type=cli.positive, metavar="N", help="files to write (enough for about 150 MB each)")
    add(
        "--encoding",
        choices=pixel_codec.ENCODINGS,
        default=pixel_codec.RAW,
        help="of the high resolution's pixels, all lossless: png and webp take 0.6 of the space, 3 times as long (raw)",
    )
    add("--seed", type=int, default=0, help="for random crops, the order of records and --limit (0)")
    add(
        "--icc",
        choices=("srgb", "ignore"),
        default="srgb",
        help="embedded color profiles: convert to sRGB as viewers do, or ignore as the public release did (srgb)",
    )
    add(
        "--max_pixels", type=cli.positive, default=decoding.MAX_PIXELS, help="reject larger images (100 million pixels)"
    )
    add(
        "--min_side",
        type=cli.positive,
        default=decoding.MIN_SIDE,
        help="reject images with a shorter side below this (8)",
    )
    add(
        "--max_reject_fraction", type=cli.fraction, default=0.01, help="fail if more is rejected than this share (0.01)"
    )
    add("--dry_run", action="store_true", help="say how many images, how much space and time; write nothing")
    return parser


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspection:
    """A look at a finished folder instead of a job: `action` is `verify` or `describe`."""

    action: str
    folder: str


def parse(argv: Sequence[str] | None = None) -> tuple[Options | Inspection, list[str]]:
    """The job's options, or what to look at instead, and the arguments that are left for Beam."""
    found, beam_arguments = parser().parse_known_args(argv)
    verify, describe = vars(found).pop("verify"), vars(found).pop("describe")
    if verify or describe:
        if found.source or found.out or beam_arguments or (verify and describe):
            raise UserError("--verify and --describe each stand alone, with the folder to look at")
        return Inspection(action="verify" if verify else "describe", folder=verify or describe), []
    if not (found.source and found.out):
        raise UserError("--source and --out are both needed (see coltran-preprocess --help)")
    if found.hi is not None and found.hi < found.lo:
        raise UserError(f"--hi {found.hi} is below --lo {found.lo}; the high resolution is made first")
    if found.hi is None and "spatial_upsampler" in found.stages:
        found.stages = tuple(stage for stage in found.stages if stage != "spatial_upsampler")
    options = Options(**vars(found))
    if options.crops > 1 and not options.random_crop:
        raise UserError(f"--crops {options.crops}: center crops of an image are all the same; use --crop random")
    return options, beam_arguments


def _resolution(text: str) -> int | None:
    return None if text == "none" else cli.positive(text)


def _count(text: str) -> int:
    return 0 if text == "0" else cli.positive(text)


def _stages(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(STAGES):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(STAGES)}, got '{text}'")
    return names
