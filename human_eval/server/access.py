"""Decides who may take part and under which name, by Prolific's parameters, by an invitation, or by any name."""

from __future__ import annotations

import dataclasses
import hmac
import logging
import pathlib
import re
import secrets
from collections.abc import Iterator, Mapping

from coltran.errors import UserError
from human_eval.folder import rater_ids
from human_eval.folder.layout import private_file
from human_eval.folder.spreadsheet import csv_bytes, read_table
from human_eval.server import database, log as server_log

KINDS = PROLIFIC, INVITATION, OPEN = "prolific", "invitation", "open"
INVITATIONS = pathlib.PurePath("private", "invitations.csv")
_COLUMNS = ("number", "token", "link")
_PROLIFIC_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_NAME = 64
_LOG = logging.getLogger(server_log.NAME)


class StrangerError(Exception):
    """Says that somebody cannot take part. The message is for this person."""


@dataclasses.dataclass(kw_only=True)
class Access:
    """The way into a study.

    Attributes:
      study: the study folder.
      kind: PROLIFIC, INVITATION or OPEN.
      pilot: whether this is a pilot. People who took part in a pilot cannot take part in the study.
    """

    study: pathlib.Path
    kind: str
    pilot: bool
    _invitations: dict[str, int] = dataclasses.field(default_factory=dict)
    _read: object = None

    def __post_init__(self) -> None:
        # We draw the salt before anybody comes. Threads that need it at the same moment would draw several.
        self._salt = rater_ids.salt(self.study)

    def rater(self, query: Mapping[str, str]) -> str:
        """Returns the hash of the person who asks. It raises a StrangerError if this person cannot take part.

        The name itself goes no further than this.
        """
        name = {PROLIFIC: _prolific, INVITATION: self._invited, OPEN: _any}[self.kind](query)
        rater = rater_ids.rater(self._salt, name)
        if rater_ids.forgotten(self.study) & {rater, rater_ids.hashed(self._salt, "rater", name)}:
            raise StrangerError("You asked us to delete your data, so we cannot let you take part again.")
        if not self.pilot and database.has_rater(self.study / database.PILOT_DATABASE, rater, name):
            raise StrangerError(
                "You took part in the trial run of this study. Thank you! The study itself needs people who have not "
                "seen any of it."
            )
        return rater

    def _invited(self, query: Mapping[str, str]) -> str:
        path = self.study / INVITATIONS
        if path.exists():
            # Somebody may have added invitations while the server runs.
            changed = (path.stat().st_mtime_ns, path.stat().st_ino)
            if changed != self._read:
                self._read = changed
                try:
                    self._invitations = dict(_read_invitations(path))
                except (UserError, OSError) as error:
                    # Whoever was invited before can still come in.
                    kept = len(self._invitations)
                    _LOG.warning("%s; the last good list with %d invitations stays in use", error, kept)
        given = query.get("invitation", "")
        for token, number in self._invitations.items():
            if hmac.compare_digest(token.encode(), given.encode("utf-8", "replace")):
                return f"invitation-{number:04d}"
        raise StrangerError("This link is not one of our invitations. Please use the whole link that you were sent.")


def _prolific(query: Mapping[str, str]) -> str:
    name = query.get("PROLIFIC_PID", "").strip()
    if not _PROLIFIC_NAME.fullmatch(name):
        raise StrangerError("Please open this study from Prolific, so that your work can be paid.")
    return name


def _any(query: Mapping[str, str]) -> str:
    name = " ".join(query.get("rater", "").split())
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise StrangerError(
            f"Please add your name to the address, as in ?rater=ann (at most {_MAX_NAME} letters), and reload."
        )
    return name


def invite(study: pathlib.Path, count: int, url: str) -> pathlib.Path:
    """Adds invitations to private/invitations.csv. A running server reads them too. No invitation is written twice.

    Args:
      study: the study folder.
      count: number of new invitations.
      url: the server's address as raters see it.
    """
    path = study / INVITATIONS
    rows = _rows(path) if path.exists() else []
    first = 1 + max((int(row["number"]) for row in rows), default=0)
    for number in range(first, first + count):
        token = "-"
        while token.startswith("-"):  # A spreadsheet would take this for a formula.
            token = secrets.token_urlsafe(16)
        rows.append({"number": f"{number:04d}", "token": token, "link": f"{url.rstrip('/')}/?invitation={token}"})
    private_file(path, csv_bytes(_COLUMNS, ([row.get(column, "") for column in _COLUMNS] for row in rows)))
    return path


def has_invitations(study: pathlib.Path) -> bool:
    """Returns whether anybody was invited. It raises a UserError if the file is damaged."""
    path = study / INVITATIONS
    return path.exists() and bool(_rows(path))


def _read_invitations(path: pathlib.Path) -> Iterator[tuple[str, int]]:
    for row in _rows(path):
        # We read it as a number. A spreadsheet saves 0007 as 7, and this must not make a rater somebody else.
        yield row["token"], int(row["number"])


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    """Reads the rows of the list as any spreadsheet saves it."""
    table = [row for _, row in read_table(path.read_bytes(), str(path))]
    header = [cell.strip().lower() for cell in table[0]] if table else []
    rows = [dict(zip(header, (cell.strip() for cell in cells), strict=False)) for cells in table[1:]]
    if not {"token", "number"} <= set(header) or not all(
        row.get("token") and (row.get("number") or "").isdecimal() for row in rows
    ):
        raise UserError(f"{path}: expected the columns {', '.join(_COLUMNS)} in every row; restore it from a copy")
    return rows
