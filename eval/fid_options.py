"""Options of coltran-fid, and how its command line is read."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence

from coltran import cli, partition, storage
from coltran.errors import UserError
from eval.extractors import EXTRACTORS, FRAMEWORKS
from eval.resize import RESIZES
from pipelines.beam_options import HELP

DESCRIPTION = """\
Frechet Inception distance between two sets of images.

    coltran-fid --real records/holdout --real_part truth --fake colorized/ --extractor inception --out fid.json

computes Inception features of both sets with an Apache Beam job and writes fid.json with the number, the counts, and
all that decides on it. The paper compares 5000 colorizations with the truth of other images, so an image that is in
both sets is an error. About 18 images/s on 2 cores.
"""
PROG = "coltran-fid"
IMAGES = ("hi", "lo")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says; see `--help`."""

    real: tuple[str, ...]
    fake: tuple[str, ...]
    out: str
    extractor: str = "inception"
    weights: str | None = None
    weights_seed: int = 0
    resize: str = "tf1"
    framework: str = "tensorflow"
    image: str = "hi"
    real_part: str | None = None
    fake_part: str | None = None
    num: int | None = None
    sample: int = 0
    seed: int = 0
    batch_size: int = 32
    allow_overlap: bool = False


def parser() -> argparse.ArgumentParser:
    parser = cli.Parser(PROG, DESCRIPTION, epilog=HELP)
    add = parser.add_argument
    sources = "record folders (truth or colorized), or folders of PNGs; local or gs://"
    add("--real", required=True, nargs="+", metavar="FOLDER", help=f"the true images: {sources}")
    add("--fake", required=True, nargs="+", metavar="FOLDER", help=f"the images to judge: {sources}")
    add("--out", required=True, metavar="FILE", help="fid.json to write; local or gs://")
    add("--extractor", choices=EXTRACTORS, default="inception", help="network for the features (inception)")
    add("--weights", metavar="PATH", help="the public .pth file of inception, or the SavedModel folder of tfgan")
    add("--weights_seed", type=_seed, default=0, metavar="N", help="of the weights of --extractor random (0)")
    add("--resize", choices=tuple(RESIZES), default="tf1", help="as in TF-GAN 1.x, or as in pytorch-fid (tf1)")
    add(
        "--framework",
        choices=FRAMEWORKS,
        default="tensorflow",
        help="jax for a GPU or TPU (tensorflow)",
    )
    add("--image", choices=IMAGES, default="hi", help="high or low resolution of the records (hi)")
    add("--real_part", choices=partition.PARTS, help="take only this half of --real, by hash of (seed, key) (all)")
    add("--fake_part", choices=partition.PARTS, help="take only this half of --fake (all)")
    add("--num", type=cli.positive, metavar="N", help="keys to take of each set, the first by hash (all)")
    add("--sample", type=_seed, default=0, metavar="K", help="which sample of each image colorized records give (0)")
    add("--seed", type=_seed, default=0, metavar="N", help="of the parts and of --num (0)")
    add("--batch_size", type=cli.positive, default=32, metavar="N", help="images at once in the network (32)")
    add("--allow_overlap", action="store_true", help="accept images that are in both sets, and mark the result")
    return parser


def parse(argv: Sequence[str] | None = None) -> tuple[Options, list[str]]:
    """The job's options, and the arguments that are left for Beam. Raises UserError for a wrong flag."""
    found, beam_arguments = parser().parse_known_args(argv)
    found.real, found.fake = tuple(found.real), tuple(found.fake)
    _check_out(found.out)
    return Options(**vars(found)), beam_arguments


def _check_out(path: str) -> None:
    """Refuses before the work, not after it, what could not be written."""
    if storage.is_gcs(path):
        return
    if os.path.isdir(path) or path.endswith("/"):
        raise UserError(f"--out {path} is a folder; name a file in it, such as {storage.join(path, 'fid.json')}")
    above = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above) or not os.access(above, os.W_OK):
        raise UserError(f"--out {path} cannot be written: {above} is no folder that you may write to")


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got '{text}'")
    return int(text)
