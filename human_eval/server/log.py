"""Writes the server's log to a private file without names, and keeps its newest problems for the progress page."""

from __future__ import annotations

import collections
import logging
import logging.handlers
import os
import pathlib
import time
from typing import Any

SERVER_LOG = pathlib.PurePath("private", "server.log")
NAME = "coltran-study.serve"
_PROBLEMS = 30
_BYTES, _FILES = 10 << 20, 2  # Somebody who sends rubbish must not fill the disk.


def start(path: pathlib.Path) -> collections.deque[str]:
    """Sends the log to a file. Returns its newest warnings and errors in a deque that stays up to date."""
    problems: collections.deque[str] = collections.deque(maxlen=_PROBLEMS)
    to_file = _PrivateFile(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")
    to_file.setFormatter(_utc("%(asctime)s %(levelname)s %(message)s"))
    to_page = _Newest(problems)
    for name, level in ((NAME, logging.INFO), ("waitress", logging.ERROR)):
        logger = logging.getLogger(name)
        for old in logger.handlers:
            old.close()
        logger.handlers[:] = [to_file, to_page]
        logger.setLevel(level)
        logger.propagate = False
    return problems


class _PrivateFile(logging.handlers.RotatingFileHandler):
    def _open(self) -> Any:
        return open(
            self.baseFilename, self.mode, encoding=self.encoding, opener=lambda path, flags: os.open(path, flags, 0o600)
        )


class _Newest(logging.Handler):
    """Keeps the newest problems. One that comes again is one line with a number, so that it pushes no other out."""

    def __init__(self, problems: collections.deque[str]) -> None:
        super().__init__(logging.WARNING)
        self._problems = problems
        self._times: dict[str, tuple[str, int]] = {}  # For each text, it holds its line and how often it came.
        self.setFormatter(_utc("%(asctime)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().partition("\n")[0]
        before, times = self._times.get(text, ("", 0))
        if before in self._problems:
            self._problems.remove(before)
        else:
            times = 0
        line = self.format(record).partition("\n")[0] + (f" ({times + 1} times)" if times else "")
        self._problems.append(line)
        self._times = {one: known for one, known in self._times.items() if known[0] in self._problems}
        self._times[text] = (line, times + 1)


def _utc(form: str) -> logging.Formatter:
    formatter = logging.Formatter(form, "%Y-%m-%d %H:%M:%SZ")
    formatter.converter = time.gmtime
    return formatter
