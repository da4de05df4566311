"""Finds numbers of raters and assignments that a spreadsheet has rounded. Nobody can tell any more whose they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from coltran.errors import UserError

IDS = ("WorkerId", "Turkle.Username", "AssignmentId")
_SCIENTIFIC = re.compile(r"-?[0-9]+([.,][0-9]+)?[eE]\+?[0-9]+")
_ROUND = re.compile(r"[0-9]{3,}0{5,}")  # At least five zeros at the end of a number of eight digits or more.
_LONG = 16  # A spreadsheet keeps 15 digits, and makes zeros of the others.
_MOST = 0.5
_WHAT_TO_DO = "download the file again and do not open it in a spreadsheet (or import these columns as text)"


def refuse_rounded_numbers(columns: Mapping[str, Sequence[str]], where: str) -> None:
    """Refuses a file whose numbers were rounded.

    Args:
      columns: the cells of columns that name raters or assignments, by the column's name.
      where: the file's name.

    Raises:
      UserError: a number has an exponent, or most numbers end in a run of zeros.
    """
    for name, cells in columns.items():
        numbers = [cell.strip().removesuffix(".0") for cell in cells if cell.strip()]
        scientific = [cell for cell in numbers if _SCIENTIFIC.fullmatch(cell)]
        if scientific:
            raise UserError(f"{where}: {name} '{scientific[0]}' was rounded by a spreadsheet; {_WHAT_TO_DO}")
        rounded = [cell for cell in numbers if _is_round(cell)]
        if len(numbers) > 1 and len(rounded) > _MOST * len(numbers):
            raise UserError(
                f"{where}: {len(rounded)} of {len(numbers)} numbers in {name} end in zeros, such as '{rounded[0]}', so "
                f"a spreadsheet rounded them; {_WHAT_TO_DO}"
            )


def _is_round(cell: str) -> bool:
    return cell.isdecimal() and bool(_ROUND.fullmatch(cell) or (len(cell) >= _LONG and not cell[15:].strip("0")))
