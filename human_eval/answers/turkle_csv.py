"""Reads the results of a self-hosted Turkle server (PyPI `Turkle` 3.1).

They have Mechanical Turk's columns and `Turkle.Username`.
"""

from __future__ import annotations

from collections.abc import Iterator

from human_eval.answers.mturk_csv import rows_of_assignments
from human_eval.answers.submissions import Submission

SOURCE = "turkle-csv"


def submissions(data: bytes, where: str) -> Iterator[Submission]:
    """Yields one submission for each row. Errors are those of `mturk_csv`."""
    yield from rows_of_assignments(data, where, SOURCE)
