"""Options of coltran-fid, and how its command line is read."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
from collections.abc import Sequence

from coltran import cli, storage
from coltran.errors import UserError
from coltran.records import partition
from eval.features.extractors import EXTRACTORS, FRAMEWORKS
from eval.features.resize import RESIZES
from eval.images.sources import IMAGES
from pipelines.beam.options import HELP

PROG = "coltran-fid"
PAPER_COUNT = 5000
TRUTH_ROW, GRAY_ROW = "truth", "grayscale"
ALL = "all"
FLOORS = ("measured", "expected")
DESCRIPTION = """\
Frechet Inception distance between two sets of images, by the paper's protocol.

    coltran-fid --real records/holdout --fake colorized --extractor inception --out fid

computes Inception features with an Apache Beam job and writes a folder: fid.json (every number, and all that decides
on it), rows.csv, report.html (to look at), statistics/*.npz (give one as --real later). Colorizations that were
sampled with --part condition are compared with the truth of the other half of --real, so that no image is on both
sides; an image that is on both sides is an error. A run that was killed goes on where it was. About 18 images/s on 2
cores.

    --rows ColTran=c1,c2,c3 ColTran-B=b1,b2,b3 truth grayscale    the paper's table 2: rows of several samplings each
    --image coarse                                                of the 64x64 coarse colors (figure 4)
    --at_steps FOLDER                                             one row a folder in it, by training step (figure 6)
    --bits ColTran=2.10 ColTran-B=2.12                            FID against held-out bits, and their correlation

Rows of --rows: NAME=FOLDER, further samplings after commas; `truth` (the other half's own truth) and `grayscale` are
made from --real. Each gets a standard error, a bias-corrected number, KID, and beside it the distance between truth and
truth at the same number of images, below which no number can be expected.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowSpec:
    """A row that was asked for: its name, and one group of folders for each repeat (none for truth and grayscale)."""

    name: str
    repeats: tuple[tuple[str, ...], ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says; see `--help`."""

    real: tuple[str, ...]
    out: str
    fake: tuple[str, ...] = ()
    rows: tuple[RowSpec, ...] = ()
    at_steps: str | None = None
    bits: tuple[tuple[str, float], ...] = ()
    extractor: str = "inception"
    weights: str | None = None
    weights_seed: int = 0
    resize: str = "tf1"
    framework: str | None = None
    image: str = "hi"
    real_part: str | None = None
    fake_part: str | None = None
    num: int | str | None = None
    sample: int = 0
    seed: tuple[int, ...] = ()
    batch_size: int = 32
    allow_overlap: bool = False
    allow_unequal: bool = False
    floor: str = "measured"
    features: str | None = None

    def __post_init__(self) -> None:
        if not (self.fake or self.rows or self.at_steps):
            raise UserError("nothing to score: give --fake FOLDER, --rows NAME=FOLDER ..., or --at_steps FOLDER")


def parser() -> argparse.ArgumentParser:
    parser = cli.Parser(PROG, DESCRIPTION, epilog=HELP)
    add = parser.add_argument
    sources = "record folders (truth or colorized), folders of PNGs, or one statistics file (.npz); local or gs://"
    add("--real", required=True, nargs="+", metavar="FOLDER", help=f"the true images: {sources}")
    add(
        "--fake",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="one row: the images to judge; several folders are one set",
    )
    add(
        "--rows",
        nargs="+",
        default=[],
        type=_row,
        metavar="ROW",
        help="several rows: NAME=FOLDER[,FOLDER], truth, grayscale",
    )
    add("--at_steps", metavar="FOLDER", help="one row for each colorized folder in this one, by its checkpoint's step")
    add(
        "--bits",
        nargs="+",
        default=[],
        type=_bits,
        metavar="NAME=BITS",
        help="held-out bits per pixel of a row's model",
    )
    add("--out", required=True, metavar="FOLDER", help="folder to write; local or gs://")
    add("--extractor", choices=EXTRACTORS, default="inception", help="network for the features (inception)")
    add("--weights", metavar="PATH", help="the public .pth file of inception, or the SavedModel folder of tfgan")
    add("--weights_seed", type=_seed, default=0, metavar="N", help="of the weights of --extractor random (0)")
    add("--resize", choices=tuple(RESIZES), default="tf1", help="as in TF-GAN 1.x, or as in pytorch-fid (tf1)")
    add("--framework", choices=FRAMEWORKS, help="of the network (tensorflow on a CPU, where it is faster, else jax)")
    add("--image", choices=IMAGES, default="hi", help="high or low resolution of the records, or coarse colors (hi)")
    add(
        "--real_part",
        choices=partition.PARTS,
        help="half of --real, by hash of (seed, key) (the half not sampled from)",
    )
    add("--fake_part", choices=partition.PARTS, help="half of each fake set (all)")
    add(
        "--num",
        type=_num,
        metavar="N",
        help=f"images of each set, the first by hash, or 'all' ({PAPER_COUNT}, or fewer)",
    )
    add("--sample", type=_seed, default=0, metavar="K", help="which sample of each image colorized records give (0)")
    add(
        "--seed",
        nargs="+",
        default=[],
        type=_seed,
        metavar="N",
        help="of parts and --num, one a repeat (the sampling's, else 0)",
    )
    add("--batch_size", type=cli.positive, default=32, metavar="N", help="images at once in the network (32)")
    add(
        "--floor",
        choices=FLOORS,
        default="measured",
        help="truth against truth: from the other half's truth, or by formula",
    )
    add("--features", metavar="FOLDER", help="where features are kept and looked for (features/ in --out)")
    add("--allow_overlap", action="store_true", help="accept images that are in both sets, and mark the result")
    add("--allow_unequal", action="store_true", help="accept sets of different numbers of images, and mark the result")
    return parser


def parse(argv: Sequence[str] | None = None) -> tuple[Options, list[str]]:
    """The job's options, and the arguments that are left for Beam. Raises UserError for a wrong flag."""
    found, beam_arguments = parser().parse_known_args(argv)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(found).items()}
    _check_out(found.out)
    return Options(**values), beam_arguments


def _check_out(path: str) -> None:
    """Refuses before the work, not after it, what could not be written."""
    if storage.is_gcs(path):
        return
    above = os.path.abspath(path)
    if os.path.isfile(above):
        raise UserError(f"--out {path} is a file; name a folder, in which fid.json will stand")
    while not os.path.exists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above) or not os.access(above, os.W_OK):
        raise UserError(f"--out {path} cannot be written: {above} is no folder that you may write to")


def _row(text: str) -> RowSpec:
    name, equals, folders = text.partition("=")
    if not equals:
        if text not in (TRUTH_ROW, GRAY_ROW):
            raise argparse.ArgumentTypeError(f"expected NAME=FOLDER[,FOLDER], {TRUTH_ROW} or {GRAY_ROW}, got '{text}'")
        return RowSpec(name=text)
    paths = [path for path in folders.split(",") if path]
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


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got '{text}'")
    return int(text)
