"""Defines the options of coltran-fid, and reads its command line."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import os
from collections.abc import Sequence

from coltran import cli, storage
from coltran.errors import UserError
from coltran.options import add_flags, from_arguments, option, parse_path
from coltran.records import partition
from eval.features.extractors import EXTRACTORS, FRAMEWORKS
from eval.features.resize import RESIZES
from eval.images.lossless_files import ALPHAS
from eval.images.sources import IMAGES
from pipelines.beam.options import HELP

PROG = "coltran-fid"
PAPER_COUNT = 5000
TRUTH_ROW, GRAY_ROW = "truth", "grayscale"
ALL = "all"
FLOORS = ("measured", "expected")
PROTOCOLS = ("table2",)
NETWORKS = (
    "colorizer",
    "colorizer_b",
    "colorizer_s",
    "color_upsampler",
    "spatial_upsampler",
    "single_upsampler",
)
DESCRIPTION = """\
Frechet Inception distance between two sets of images, by the paper's protocol.

    coltran-fid --real records/holdout --fake colorized --extractor inception --out fid

computes Inception features with an Apache Beam job and writes a folder: fid.json (every number, and all that decides
on it), rows.csv, report.html (to look at), statistics/*.npz (give one as --real later). Colorizations that were
sampled with --part condition are compared with the truth of the other half of --real, so that no image is on both
sides; an image that is on both sides is an error. A run that was killed goes on where it was. About 18 images/s on 2
cores.

    --rows ColTran=c1,c2,c3 ColTran-B=b1,b2,b3 truth grayscale    the paper's table 2: rows of several samplings each
    --protocol table2 --colorizer runs/c ...                      the same, sampled too: in one command that goes on
    --image coarse                                                of the 64x64 coarse colors (figure 4)
    --at_steps FOLDER                                             one row a folder in it, by training step (figure 6)
    --bits ColTran=2.10 ColTran-B=2.12                            FID against held-out bits, and their correlation

Rows of --rows: NAME=FOLDER, further samplings after commas; `truth` (the other half's own truth) and `grayscale` are
made from --real. Each gets a standard error, a bias-corrected number, KID, and beside it the distance between truth and
truth at the same number of images, below which no number can be expected.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowSpec:
    """A row that the user asked for: its name, and one group of folders per repeat (none for truth and grayscale)."""

    name: str
    repeats: tuple[tuple[str, ...], ...] = ()


def _row(text: str) -> RowSpec:
    name, equals, folders = text.partition("=")
    if not equals:
        if text not in (TRUTH_ROW, GRAY_ROW):
            raise argparse.ArgumentTypeError(f"expected NAME=FOLDER[,FOLDER], {TRUTH_ROW} or {GRAY_ROW}, got '{text}'")
        return RowSpec(name=text)
    paths = [parse_path(path) for path in folders.split(",") if path]
    if not name.strip() or not paths or name in (TRUTH_ROW, GRAY_ROW):
        raise argparse.ArgumentTypeError(f"expected NAME=FOLDER[,FOLDER], got '{text}'")
    return RowSpec(name=name.strip(), repeats=tuple((path,) for path in paths))


def _bits(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        bits = float(value)
    except ValueError:
        bits = math.nan
    if not name or not math.isfinite(bits):
        raise argparse.ArgumentTypeError(f"expected NAME=BITS, such as ColTran=2.10, got '{text}'")
    return name, bits


def _num(text: str) -> int | str:
    return text if text == ALL else cli.positive(text)


# The fingerprint of a run covers the content of its image sets and of its extractor. Options that only choose these
# need not enter the fingerprint again by their own values, so they also have decides=False.
_choice = functools.partial(option, decides=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the command; `--help` explains them."""

    real: tuple[str, ...] = _choice(
        metavar="FOLDER",
        help="the true images: record folders (truth or colorized), folders of lossless images, .npz files of "
        "images (arr_0), or one statistics file (.npz); local or gs://",
    )
    fake: tuple[str, ...] = _choice(
        (), metavar="FOLDER", help="one row: the images to judge; several folders are one set"
    )
    rows: tuple[RowSpec, ...] = _choice(
        (), parse=_row, metavar="ROW", help="several rows: NAME=FOLDER[,FOLDER], truth, grayscale"
    )
    at_steps: str | None = _choice(
        None, metavar="FOLDER", help="one row for each colorized folder in this one, by its checkpoint's step"
    )
    bits: tuple[tuple[str, float], ...] = option(
        (), parse=_bits, metavar="NAME=BITS", help="held-out bits per pixel of a row's model"
    )
    out: str = option(metavar="FOLDER", decides=False, help="folder to write; local or gs://")
    extractor: str = _choice("inception", choices=EXTRACTORS, help="network for the features")
    weights: str | None = _choice(
        None, metavar="PATH", help="the public .pth file of inception, or the SavedModel folder of tfgan"
    )
    fetch_weights: bool = _choice(
        False,
        help="fetch inception's public weights (96 MB) into the cache if they are missing",
    )
    weights_seed: int = _choice(0, parse=cli.whole, metavar="N", help="of the weights of --extractor random")
    resize: str = _choice("tf1", choices=tuple(RESIZES), help="as in TF-GAN 1.x, or as in pytorch-fid")
    framework: str | None = _choice(
        None, choices=FRAMEWORKS, shown="tensorflow on a CPU, where it is faster, else jax", help="of the network"
    )
    image: str = option("hi", choices=IMAGES, help="high or low resolution of the records, or coarse colors")
    alpha: str | None = _choice(
        None,
        choices=ALPHAS,
        shown="they are refused",
        help="of image files that are not opaque: their bare colors, or over white",
    )
    real_part: str | None = _choice(
        None,
        choices=partition.PARTS,
        shown="the half not sampled from",
        help="half of --real, by hash of (seed, key)",
    )
    fake_part: str | None = _choice(None, choices=partition.PARTS, shown="all", help="half of each fake set")
    num: int | str | None = _choice(
        None,
        parse=_num,
        metavar="N",
        shown=f"{PAPER_COUNT}, or fewer",
        help=f"images of each set, the first by hash, or '{ALL}'",
    )
    sample: int = _choice(0, parse=cli.whole, metavar="K", help="which sample of each image colorized records give")
    seed: tuple[int, ...] = _choice(
        (),
        parse=cli.whole,
        metavar="N",
        shown="the sampling's, else 0",
        help="of parts and --num, one a repeat",
    )
    batch_size: int = option(32, parse=cli.positive, metavar="N", help="images at once in the network")
    floor: str = _choice(
        "measured", choices=FLOORS, help="truth against truth: from the other half's truth, or by formula"
    )
    features: str | None = option(
        None,
        metavar="FOLDER",
        shown="features/ in --out",
        decides=False,
        help="where features are kept and looked for",
    )
    allow_overlap: bool = _choice(False, help="accept images that are in both sets, and mark the result")
    allow_unequal: bool = _choice(False, help="accept sets of different numbers of images, and mark the result")

    protocol: str | None = _choice(
        None, choices=PROTOCOLS, help="sample and score all rows of the paper's table 2 that the networks below allow"
    )
    colorizer: str | None = _choice(None, metavar="FOLDER", help="with --protocol: checkpoint of ColTran's colorizer")
    colorizer_b: str | None = _choice(None, metavar="FOLDER", help="with --protocol: of ColTran-B's")
    colorizer_s: str | None = _choice(None, metavar="FOLDER", help="with --protocol: of ColTran-S's, 28x28")
    color_upsampler: str | None = _choice(None, metavar="FOLDER", help="with --protocol: of the color upsampler")
    spatial_upsampler: str | None = _choice(None, metavar="FOLDER", help="with --protocol: of the spatial upsampler")
    single_upsampler: str | None = _choice(
        None, metavar="FOLDER", help="with --protocol: of one upsampler for color and space at once"
    )

    @property
    def fake_row(self) -> str:
        """The name of the row that --fake makes: its folders, as they were typed."""
        return " ".join(self.fake)

    def __post_init__(self) -> None:
        networks = [name for name in NETWORKS if getattr(self, name) is not None]
        if self.protocol is None and networks:
            raise UserError(f"--{networks[0]} goes with --protocol table2")
        if self.protocol is not None:
            if self.fake or self.rows or self.at_steps:
                raise UserError("--protocol makes its own rows: leave --fake, --rows and --at_steps out")
            return
        if not (self.fake or self.rows or self.at_steps):
            raise UserError("nothing to score: give --fake FOLDER, --rows NAME=FOLDER ..., or --at_steps FOLDER")


def parser() -> cli.Parser:
    """Makes the parser of coltran-fid. It leaves unknown flags for Beam."""
    made = cli.Parser(PROG, DESCRIPTION, epilog=HELP)
    add_flags(made, Options)
    return made


def parse(argv: Sequence[str] | None = None) -> tuple[Options, list[str]]:
    """Returns the job's options and the arguments that are left for Beam.

    Raises:
      UserError: a flag is wrong, or --out cannot be written.
    """
    found, beam_arguments = parser().parse_known_args(argv)
    _check_out(found.out)
    return from_arguments(Options, found), beam_arguments


def _check_out(path: str) -> None:
    """Refuses a folder that cannot be written before any work starts."""
    if storage.is_gcs(path):
        storage.check_access(path)
        return
    above = os.path.abspath(path)
    if os.path.isfile(above):
        raise UserError(f"--out {path} is a file; name a folder, in which fid.json will stand")
    while not os.path.exists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above) or not os.access(above, os.W_OK):
        raise UserError(f"--out {path} cannot be written: {above} is no folder that you may write to")
