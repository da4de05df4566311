"""Finds the format of a file of answers, and reads the submissions in it."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from coltran.errors import UserError
from human_eval.answers import mturk_api, mturk_csv, page as page_answers, server as server_answers, turkle_csv
from human_eval.answers.submissions import Submission
from human_eval.folder.spreadsheet import UTF16_MARKS, read_table

_READERS = (page_answers, server_answers, mturk_csv, turkle_csv, mturk_api)
FORMATS = {module.SOURCE: module for module in _READERS}
AUTO = "auto"  # This stands for the format that a file looks like.
_MAX_BYTES = 2**30


def read_submissions(path: str, kind: str = AUTO) -> Iterator[Submission]:
    """Reads the submissions in one file.

    Args:
      path: path of the file.
      kind: a name in FORMATS. With AUTO, the content of the file decides.

    Raises:
      UserError: the file is missing or cut off, its format is unknown, or none of its answers can be read.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"{path}: no such file")
    if file.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path}: is larger than {_MAX_BYTES >> 20} MiB, which no file of answers is")
    data = _in_utf8(file.read_bytes())
    found = list(FORMATS[_detect(data, path) if kind == AUTO else kind].submissions(data, path))
    if found and all(submission.problem for submission in found):
        raise UserError(found[0].problem)
    yield from found


def _in_utf8(data: bytes) -> bytes:
    """Returns a text in UTF-8 that a spreadsheet or Windows' command line saved as UTF-16."""
    if data[:2] not in UTF16_MARKS:
        return data
    try:
        return data.decode("utf-16").encode()
    except UnicodeDecodeError:
        return data


def _detect(data: bytes, path: str) -> str:
    if data.startswith(server_answers.MAGIC):
        return server_answers.SOURCE
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"<":
        return mturk_api.SOURCE
    if start in (b"{", b"["):
        # The page's own file has trials at the top, and the service's file has assignments.
        return mturk_api.SOURCE if b'"AssignmentId"' in data else page_answers.SOURCE
    header = [cell.strip() for cell in next(iter(read_table(data, path)), (0, []))[1]]
    if "AssignmentId" in header and "WorkerId" in header:
        return turkle_csv.SOURCE if "Turkle.Username" in header else mturk_csv.SOURCE
    raise UserError(f"{path}: none of the formats {', '.join(FORMATS)}; give the file as it was downloaded")
