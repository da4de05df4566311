"""Defines the options of coltran-preprocess and reads its command line."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.images import decoding
from coltran.options import add_flags, from_arguments, given, option
from coltran.records import pixel_codec, schema
from coltran.records.stages import STAGE_FEATURES, STAGES
from coltran.walking import SKIP_UNREADABLE_HELP
from pipelines.beam.options import HELP
from pipelines.sources.files import KINDS
from pipelines.truth.selection import LARGE, PAPER_HOLDOUT

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
    coltran-preprocess ... --repair                 makes shards that --verify finds damaged again, and no others
    coltran-preprocess --describe records/train     prints what is in the folder
"""
PROG = "coltran-preprocess"
SHARD_BYTES = 150_000_000
SHARDS_PER_WORKER = 4  # so that workers that are done early find another shard
SPLITS = ("train", "holdout", "validation")
CROPS = ("auto", "center", "random")
ICC = ("srgb", "ignore")


def _resolution(text: str) -> int | None:
    return None if text == "none" else cli.positive(text)


def _stages(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(STAGES):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(STAGES)}, got '{text}'")
    return names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options on the command line; see `--help`.

    Options that only choose the images have `decides=False`. The fingerprint also holds the listing of the chosen
    images, which shows what these options did.
    """

    source: str = option(
        decides=False, metavar="PATH", help="folder, file, or pattern ('photos/**/*.jpg'); local or gs://"
    )
    out: str = option(decides=False, metavar="FOLDER", help="record folder to write; local or gs://")
    split: str = option("train", choices=SPLITS, help="which images to take, and the shards' name")
    source_kind: str | None = option(
        None, decides=False, choices=KINDS, shown="found out by looking", help="what the source holds"
    )
    labels: str | None = option(
        None,
        decides=False,
        shown="what lies in or beside the source",
        metavar="PATH",
        help="classes of validation images: devkit, Kaggle's LOC_val_solution.csv, or lines of 'name label'",
    )
    hi: int | None = option(256, parse=_resolution, help="pixels a side of the high resolution, or 'none'")
    lo: int = option(64, parse=cli.positive, help="pixels a side of the low resolution")
    stages: tuple[str, ...] = option(
        STAGES, joined=True, parse=_stages, shown="all", help=f"networks to write for, of {','.join(STAGES)}"
    )
    crop: str = option("auto", choices=CROPS, help="square crop; auto is random by hash for train, else center")
    crops: int = option(1, parse=cli.positive, metavar="K", help="random crops, and so records, of each image")
    holdout: int | None = option(
        None,
        decides=False,
        parse=cli.whole,
        shown=f"{PAPER_HOLDOUT} of {LARGE} or more, else 0",
        metavar="N",
        help="training images to keep for --split holdout; same N and seed for both",
    )
    limit: int | None = option(
        None,
        decides=False,
        parse=cli.positive,
        shown="all",
        metavar="N",
        help="take only N images, chosen by hash of (seed, name)",
    )
    num_shards: int | None = option(
        None,
        parse=cli.positive,
        shown=f"enough for about {SHARD_BYTES // 1_000_000} MB each, and {SHARDS_PER_WORKER} for each worker",
        metavar="N",
        help="files to write",
    )
    encoding: str = option(
        pixel_codec.RAW,
        choices=pixel_codec.ENCODINGS,
        help="of the high resolution's pixels, all lossless: png and webp take 0.6 of the space, 3 times as long",
    )
    seed: int = option(0, help="for random crops, the order of records and --limit")
    icc: str = option(
        "srgb",
        choices=ICC,
        help="embedded color profiles: convert to sRGB as viewers do, or ignore as the public release did",
    )
    max_pixels: int = option(decoding.MAX_PIXELS, parse=cli.positive, help="reject larger images")
    min_side: int = option(
        decoding.MIN_SIDE, parse=cli.positive, help="reject images whose shorter side has fewer pixels"
    )
    max_reject_fraction: float = option(
        0.01, decides=False, parse=cli.fraction, help="fail if more is rejected than this share"
    )
    repair: bool = option(
        False, decides=False, help="make the damaged or missing shards of a finished folder again, and no others"
    )
    skip_unreadable: bool = option(False, decides=False, help=SKIP_UNREADABLE_HELP)
    allow_missing_shards: bool = option(
        False, decides=False, help="take a numbered set (00001-of-00003) although files of it are missing"
    )
    dry_run: bool = option(False, decides=False, help="say how many images, how much space and time; write nothing")

    @property
    def sizes(self) -> schema.Sizes:
        """Returns how many pixels the two resolutions have on each side."""
        return schema.Sizes(lo=self.lo, hi=self.hi)

    @property
    def features(self) -> tuple[str, ...]:
        """Returns the names of the features that the stages need, in the schema's order."""
        wanted = schema.TRUTH.required.union(*(STAGE_FEATURES[stage] for stage in self.stages))
        return tuple(
            name
            for name, feature in schema.TRUTH.features.items()
            if name in wanted and not (feature.resolution == "hi" and self.hi is None)
        )

    @property
    def random_crop(self) -> bool:
        """Tells whether squares are cut at random places and not in the center."""
        return self.crop == "random" or (self.crop == "auto" and self.split == "train")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _InspectionFlags:
    """The flags that inspect a finished folder instead of running a job."""

    verify: str | None = option(None, metavar="FOLDER", help="instead: check every shard of a finished record folder")
    describe: str | None = option(None, metavar="FOLDER", help="instead: say what a finished record folder holds")


def asked(options: Options) -> dict[str, object]:
    """Returns what decides on a folder's content before anything is listed: where the images are, and all choices."""
    ignored = ("out", "max_reject_fraction", "repair", "dry_run")
    fields = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {name: value for name, value in fields.items() if name not in ignored}


def parser() -> argparse.ArgumentParser:
    """Makes the parser of the job's and the inspection's flags. It ends the program on `--help`."""
    parser = cli.Parser(PROG, DESCRIPTION, epilog=HELP)
    add_flags(parser, Options)
    add_flags(parser, _InspectionFlags)
    return parser


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspection:
    """An inspection of a finished folder instead of a job. `action` is `verify` or `describe`."""

    action: str
    folder: str


def parse(argv: Sequence[str] | None = None) -> tuple[Options | Inspection, list[str]]:
    """Reads the command line.

    Returns:
      The job's options or the inspection, and the arguments that are left for Beam.

    Raises:
      UserError: flags are missing or out of range, or they contradict each other.
    """
    inspection = _inspection(sys.argv[1:] if argv is None else argv)
    if inspection is not None:
        return inspection, []
    found, beam_arguments = parser().parse_known_args(argv)
    options = from_arguments(Options, found)
    if options.hi is not None and options.hi < options.lo:
        raise UserError(f"--hi {options.hi} is below --lo {options.lo}; the high resolution is made first")
    if options.hi is None:
        kept = tuple(stage for stage in options.stages if stage != "spatial_upsampler")
        options = dataclasses.replace(options, stages=kept)
    if options.crops > 1 and not options.random_crop:
        raise UserError(f"--crops {options.crops}: center crops of an image are all the same; use --crop random")
    return options, beam_arguments


def _inspection(argv: Sequence[str]) -> Inspection | None:
    """Reads what the command line asks to inspect. Returns None if it describes a job or asks for help."""
    alone = cli.Parser(PROG, DESCRIPTION, add_help=False)
    add_flags(alone, _InspectionFlags)
    found, rest = alone.parse_known_args(argv)
    asked = given(_InspectionFlags, found)
    if not asked or {"-h", "--help"} & set(rest):
        return None
    if rest or len(asked) > 1:
        raise UserError("--verify and --describe each stand alone, with the folder to look at")
    [(action, folder)] = asked.items()
    return Inspection(action=action, folder=folder)
