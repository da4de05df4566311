"""Defines the options of `export` and `serve` for the texts that raters read."""

from __future__ import annotations

import dataclasses

from coltran.options import option
from human_eval.page.consent import ConsentFlags

_HEADING = "texts"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextFlags(ConsentFlags):
    """The texts that raters read before they begin, in place of the default texts."""

    title: str | None = option(None, group=_HEADING, shown="the design's", help="the page's title")
    consent: str | None = option(
        None, group=_HEADING, metavar="FILE", shown="ours, filled in", help="your consent text, .txt or .html"
    )
    instructions: str | None = option(
        None, group=_HEADING, metavar="FILE", shown="ours", help="your instructions, .txt or .html"
    )
