"""Options for what raters read, of `export` and `serve`."""

from __future__ import annotations


def add_texts(add) -> None:
    """Options for what raters read, which `serve` has too."""
    add("--title", help="the page's title (the design's)")
    add("--consent", metavar="FILE", help="your consent text, .txt or .html (a short one of ours)")
    add("--instructions", metavar="FILE", help="your instructions, .txt or .html (ours)")
