"""Writes CSV cells that no spreadsheet runs. A text that looks like a formula gets an apostrophe in front."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")  # A spreadsheet may run this. Any number of our apostrophes may precede it.
_ESCAPED = re.compile(r"'+[=+\-@\t\r\n]")


def escape_formula(text: str) -> str:
    """Turns a text into a cell that no spreadsheet takes for a formula."""
    return "'" + text if _FORMULA.match(text) else text


def unescape_formula(cell: str) -> str:
    """Returns the text of a cell that `escape_formula` made."""
    return cell[1:] if _ESCAPED.match(cell) else cell


def csv_bytes(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Returns a CSV file that no spreadsheet runs. None becomes an empty cell, and a bool becomes `true` or `false`."""
    buffer = io.StringIO()
    write, write_quoted = (
        csv.writer(buffer, lineterminator="\n", quoting=quoting).writerow
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    write(columns)
    for row in rows:
        cells = [_cell(value) for value in row]
        # The csv module reads a bare carriage return as the end of a line, but does not quote it by itself.
        (write_quoted if any("\r" in cell for cell in cells) else write)(cells)
    return buffer.getvalue().encode("utf-8", "surrogatepass")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return escape_formula(value)
    return repr(value)
