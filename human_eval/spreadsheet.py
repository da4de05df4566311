"""Cells of CSV files that no spreadsheet runs: a text that looks like a formula stands behind an apostrophe."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")  # what a spreadsheet runs, behind any number of our apostrophes
_ESCAPED = re.compile(r"'+[=+\-@\t\r\n]")


def escape_formula(text: str) -> str:
    """The text as a cell that no spreadsheet runs."""
    return "'" + text if _FORMULA.match(text) else text


def unescape_formula(cell: str) -> str:
    """The text of a cell that `escape_formula` made."""
    return cell[1:] if _ESCAPED.match(cell) else cell
