"""Finds the format of a file of answers, and reads the submissions in it."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from coltran.errors import UserError
from human_eval.answers import mturk_api, mturk_csv, page as page_answers, server as server_answers, turkle_csv
from human_eval.answers.ratings import read_rows
from human_eval.answers.submissions import Submission

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
      UserError: the file is missing or cut off, or its format is unknown.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"{path}: no such file")
    if file.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path}: is larger than {_MAX_BYTES >> 20} MiB, which no file of answers is")
    data = file.read_bytes()
    yield from FORMATS[_detect(data, path) if kind == AUTO else kind].submissions(data, path)


def _detect(data: bytes, path: str) -> str:
    if data.startswith(server_answers.MAGIC):
        return server_answers.SOURCE
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"<":
        return mturk_api.SOURCE
    if start in (b"{", b"["):
        # The page's own file has trials at the top, and the service's file has assignments.
        return mturk_api.SOURCE if b'"AssignmentId"' in data else page_answers.SOURCE
    header = next(iter(read_rows(data, path)), (0, []))[1]
    if "AssignmentId" in header and "WorkerId" in header:
        return turkle_csv.SOURCE if "Turkle.Username" in header else mturk_csv.SOURCE
    raise UserError(f"{path}: none of the formats {', '.join(FORMATS)}; give the file as it was downloaded")
