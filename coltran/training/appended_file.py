"""Appends to a file while a run goes on, local or gs://. Objects on gs:// cannot grow, so they are written again."""

from __future__ import annotations

import os
import time
from typing import BinaryIO

from coltran import storage

_SECONDS = 60.0  # between two uploads, which grow with the file


class AppendedFile:
    """A file that grows. Local readers see each write at once, those of gs:// within a minute or after `flush`.

    If the run is killed, an object lacks what came after its last upload.
    """

    def __init__(self, path: str):
        self._path, self._uploaded = path, time.monotonic()
        self._file: BinaryIO | None = None
        self._data = bytearray()
        self._changed = False
        if not storage.is_gcs(path):
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            self._file = open(path, "ab")  # noqa: SIM115, closed by close()
        elif storage.exists(path):
            self._data += storage.read_bytes(path)

    def write(self, data: bytes) -> None:
        """Appends some bytes."""
        if self._file is not None:
            self._file.write(data)
            self._file.flush()
            return
        self._data += data
        self._changed = True
        if time.monotonic() - self._uploaded > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Makes everything visible to readers."""
        if self._changed:
            storage.write_bytes(self._path, bytes(self._data))
            self._uploaded, self._changed = time.monotonic(), False

    def close(self) -> None:
        """Makes everything visible to readers, and closes the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
