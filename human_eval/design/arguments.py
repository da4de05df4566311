"""Defines what a study is planned from. These are also the flags of `design`."""

from __future__ import annotations

import dataclasses

from coltran import cli
from coltran.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizeFlags:
    """The size of a study. `simulate` and `power` have these flags too."""

    images: int = option(500, parse=cli.positive, help="how many images, chosen by hash")
    samples: int = option(3, parse=cli.positive, help="colorizations of each by each model, from 0 up")
    raters: int = option(5, parse=cli.positive, help="ratings of each pair")
    block: int = option(50, parse=cli.positive, help="most rated images a form")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanFlags(SizeFlags):
    """What a study is planned from.

    The options that decide the plan enter the study's name. Folders and the secret enter it as digests.
    """

    truth: str = option(metavar="FOLDER", decides=False, help="photos: record folder of coltran-preprocess, or PNGs")
    colorized: tuple[str, ...] = option(
        append=True,
        metavar="[NAME=]FOLDER",
        decides=False,
        help="colorizations: record folder of coltran-sample, or PNGs; repeat it to compare models",
    )
    seed: int = option(
        parse=cli.whole, help="decides on images, and with the secret on forms and orders; write it down"
    )
    practice: int = option(10, parse=cli.whole, help="practice pairs a form, with feedback")
    catch: float = option(0.1, parse=cli.fraction, help="catch trials, as a share of a form's rated pairs")
    image: str = option("hi", choices=("hi", "lo"), help="which resolution of records to show")
    title: str = option("Which photo has fake colors?", decides=False, help="the page's title")
    images_to: str | None = option(
        None,
        metavar="FOLDER",
        shown="OUT/public/images",
        decides=False,
        help="where the images go, gs:// for a cluster's workers",
    )
