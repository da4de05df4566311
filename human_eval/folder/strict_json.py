"""Reads JSON from raters' browsers or from services strictly."""

from __future__ import annotations

import json

from coltran.errors import UserError


def parse_json(text: str, where: str) -> object:
    """Returns the value of a JSON text. It raises a UserError for any other text, also for NaN or Infinity."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: is no whole JSON text ({error or 'too deep'}); save or download it again") from None
