"""Keeps what a study has on a server in private/turkle.json. Every step writes it, so that a kill loses little.

{"study": {"server": "https://turkle.example.org", "project": 3, "opened": [7]}, "pilot": {...}}

What is missing here is found on the server by the study's name, so the file may even be lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from coltran.errors import UserError
from human_eval.folder.layout import private_file

PATH = pathlib.PurePath("private", "turkle.json")
_LOCK = pathlib.PurePath("private", "turkle.lock")


@dataclasses.dataclass(kw_only=True)
class State:
    """What is known about the study, or its pilot, on the server.

    Attributes:
      folder: the study folder.
      pilot: whether this is about the pilot.
      server: address of the server.
      project: number of the project; None if it is unknown.
      opened: batches that raters could see. If somebody closes one of them, it stays closed.
    """

    folder: pathlib.Path
    pilot: bool
    server: str
    project: int | None = None
    opened: set[int] = dataclasses.field(default_factory=set)

    def save(self) -> None:
        """Writes this part of the file. The other part, study or pilot, stays as it is."""
        everything = _read(self.folder)
        about = {"server": self.server, "project": self.project, "opened": sorted(self.opened)}
        everything[_part(self.pilot)] = about
        private_file(self.folder / PATH, json.dumps(everything, indent=1, sort_keys=True).encode() + b"\n")


def load(folder: pathlib.Path, *, pilot: bool, server: str) -> State:
    """Loads what is known so far.

    Args:
      folder: the study folder.
      pilot: whether the pilot is meant.
      server: the address that the command will use.

    Raises:
      UserError: the file is damaged, or it names another server.
    """
    found = _read(folder).get(_part(pilot))
    state = State(folder=folder, pilot=pilot, server=server)
    if found is None:
        return state
    if found["server"] != server:
        raise UserError(
            f"{folder / PATH}: the {_part(pilot)} is published at {found['server']}, not at {server}; give --turkle "
            "that address, or correct the file if the server has moved"
        )
    return dataclasses.replace(state, project=found["project"], opened=set(found["opened"]))


@contextlib.contextmanager
def only_one(folder: pathlib.Path) -> Iterator[None]:
    """Keeps a second `publish` of the study out. It raises a UserError if another one is running."""
    path = folder / _LOCK
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: is being published by another process; wait for it") from None
        yield


def _part(pilot: bool) -> str:
    return "pilot" if pilot else "study"


def _read(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / PATH
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
        for about in found.values():
            numbers = [about["project"] or 0, *about["opened"]]
            if not isinstance(about["server"], str) or not all(isinstance(number, int) for number in numbers):
                raise TypeError("expected an address and numbers")
        return found
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error!r}); remove it, since the server knows the same") from None
