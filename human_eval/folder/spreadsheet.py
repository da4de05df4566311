"""Writes CSV cells that no spreadsheet runs, and reads tables as spreadsheets save them.

A text that looks like a formula gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from coltran.errors import UserError

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")  # A spreadsheet may run this. Any number of our apostrophes may precede it.
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
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


def read_table(data: bytes, where: str) -> list[tuple[int, list[str]]]:
    """Reads a CSV file as spreadsheets save it: UTF-8 or UTF-16, commas, semicolons or tabs.

    Returns:
      (line number, cells) of each row, without empty rows.

    Raises:
      UserError: the file is not such a table.
    """
    try:
        text = data.decode("utf-16" if data[:2] in UTF16_MARKS else "utf-8-sig", "surrogatepass")
        if text[:4].lower() == "sep=":  # Excel writes such a line in front.
            text = text.partition("\n")[2]
        first = text.lstrip().partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        csv.field_size_limit(2**24)  # One cell may hold the answers of a whole form.
        # We do not translate line ends, because a cell may hold any of them.
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where}: is no whole CSV file in UTF-8 ({error}); export or download it again") from None


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return escape_formula(value)
    return repr(value)
