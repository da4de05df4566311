"""Reads the file that a rater saves from the static rater page."""

from __future__ import annotations

from collections.abc import Iterator

from coltran.errors import UserError
from human_eval.answers.submissions import Submission, from_result, unreadable
from human_eval.folder.strict_json import parse_json

SOURCE = "static"


def submissions(data: bytes, where: str) -> Iterator[Submission]:
    """Yields the submission of a file, or several from a list. It raises a UserError if the file holds no answers."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{where}: is no text in UTF-8") from None
    found = parse_json(text, where)
    if not isinstance(found, list):
        yield from_result(found, source=SOURCE, where=where)
        return
    for number, result in enumerate(found):
        about = {"source": SOURCE, "where": f"{where}, number {number + 1}"}
        try:
            yield from_result(result, **about)
        except UserError as error:
            yield unreadable(str(error), about)
