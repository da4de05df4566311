"""Keeps the study server's data in one SQLite file in the private folder. No kill and no second server can damage it.

private/server.sqlite    mode 0600: sittings and answers of the study
private/pilot.sqlite     mode 0600: sittings and answers of a pilot, which never mix with the study's
private/*.lock           held by the running server

Every change is one transaction. It is on the disk (WAL, synchronous=FULL) before anybody is told about it. Two unique
indices keep the design's promise whatever a program does: each place of a form has one rater, and a rater gets each
form only once.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping

from coltran.errors import UserError
from human_eval.folder import rater_ids

STUDY_DATABASE = pathlib.PurePath("private", "server.sqlite")
PILOT_DATABASE = pathlib.PurePath("private", "pilot.sqlite")
RUNNING, FINISHED, ABANDONED = "running", "finished", "abandoned"
_VERSION = "2"
_WITH_NAMES = "1"  # This version held raters' names. Since then `rater` is a hash.
_BUSY_MS = 20_000
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    # The slot is the place within the form. The turn counts how often its page was handed out. `seen` is the time when
    # the rater last did something. `practice` says whether the form's practice belongs to the sitting. `page` is what
    # the page said at the end, as JSON.
    f"""CREATE TABLE IF NOT EXISTS sittings (
      sitting TEXT PRIMARY KEY, rater TEXT NOT NULL, form INTEGER NOT NULL, slot INTEGER NOT NULL,
      practice INTEGER NOT NULL, turn INTEGER NOT NULL, started REAL NOT NULL, seen REAL NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('{RUNNING}', '{FINISHED}', '{ABANDONED}')),
      finished REAL, code TEXT, redirect TEXT, page TEXT,
      CHECK ((state = '{FINISHED}') = (finished IS NOT NULL AND code IS NOT NULL AND page IS NOT NULL)))""",
    f"CREATE UNIQUE INDEX IF NOT EXISTS one_rater_a_slot ON sittings (form, slot) WHERE state != '{ABANDONED}'",
    "CREATE UNIQUE INDEX IF NOT EXISTS no_form_again ON sittings (rater, form)",
    """CREATE TABLE IF NOT EXISTS answers (
      sitting TEXT NOT NULL REFERENCES sittings ON DELETE CASCADE, trial INTEGER NOT NULL, saved REAL NOT NULL,
      answer TEXT NOT NULL, PRIMARY KEY (sitting, trial)) WITHOUT ROWID""",
)


class Database:
    """The open database. Its transactions run one after the other, even from several threads."""

    def __init__(self, path: pathlib.Path, about: Mapping[str, str], *, salt: bytes = b"") -> None:
        """Opens or makes the file, and keeps other servers out until `close` or the end of the process.

        Args:
          path: path of the file.
          about: what the file belongs to. A new file stores this, and later calls compare it.
          salt: the study's salt. With it, the names in a file of version 1 become hashes.

        Raises:
          UserError: another server has the file open, it belongs to another study, or it is not such a database.
        """
        self._path = path
        self._lock = threading.RLock()
        self._held = _only_server(path)
        _make_private(path)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        try:
            self._set_up({"version": _VERSION, **about}, salt)
        except (sqlite3.DatabaseError, UserError) as error:
            self.close()
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path}: is no database of the study server ({error}); restore it from a copy") from None

    def _set_up(self, about: Mapping[str, str], salt: bytes) -> None:
        pragmas = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")
        for pragma in (f"busy_timeout = {_BUSY_MS}", *pragmas):
            self._connection.execute(f"PRAGMA {pragma}")
        with self.transaction() as connection:
            for statement in _SCHEMA:
                connection.execute(statement)
            if not connection.execute("SELECT count(*) FROM about").fetchone()[0]:
                connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
            found = dict(connection.execute("SELECT name, value FROM about").fetchall())
            if salt and found == {**about, "version": _WITH_NAMES}:
                _hash_names(connection, salt)
                found = dict(about)
        if found != dict(about):
            differ = sorted(name for name in {*found, *about} if found.get(name) != about.get(name))
            raise UserError(f"{self._path}: was made for another {' and '.join(differ)}; move it away to begin anew")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yields the connection. After the block, either all of its statements are on the disk or none."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                if self._connection.in_transaction:  # The disk may be full, for example. Nothing was saved.
                    self._connection.execute("ROLLBACK")
                raise

    def newest_time(self) -> float:
        """Returns the latest `seen` or `saved` time, or 0 if there is none."""
        with self.transaction() as connection:
            query = "SELECT max(seen) FROM sittings UNION ALL SELECT max(saved) FROM answers"
            return max((time or 0.0 for (time,) in connection.execute(query).fetchall()), default=0.0)

    def close(self) -> None:
        """Closes the file and lets other servers in."""
        with self._lock:
            self._connection.close()
            os.close(self._held)


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[sqlite3.Connection]:
    """Connects to an existing database for reading or deleting, even while a server runs."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    try:
        for pragma in (f"busy_timeout = {_BUSY_MS}", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
        yield connection
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path}: is no database of the study server ({error}); restore it from a copy") from None
    finally:
        connection.close()


def raters(path: pathlib.Path) -> set[str]:
    """Returns all raters who ever got a form of this database: hashes, or names in a file of version 1.

    A missing file has no raters.
    """
    if not path.is_file():
        return set()
    with opened(path) as connection:
        if not _has_tables(connection):
            return set()
        return {name for (name,) in connection.execute("SELECT DISTINCT rater FROM sittings")}


def has_rater(path: pathlib.Path, *raters: str) -> bool:
    """Returns whether one of these raters ever got a form of this database."""
    if not path.is_file():
        return False
    with opened(path) as connection:
        if not _has_tables(connection):
            return False
        query = "SELECT 1 FROM sittings WHERE rater = ? LIMIT 1"
        return any(connection.execute(query, [rater]).fetchone() for rater in raters)


def _has_tables(connection: sqlite3.Connection) -> bool:
    # A server that is killed right at its start leaves a file without tables.
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sittings'").fetchone() is not None


def delete_rater(path: pathlib.Path, rater: str) -> int:
    """Deletes all sittings and answers of a rater, also from the file's free pages. Returns the number of sittings."""
    with opened(path) as connection:
        deleted = connection.execute("DELETE FROM sittings WHERE rater = ?", [rater]).rowcount
        # Otherwise the deleted data would stay in the log beside the file until it is overwritten.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return deleted


def _hash_names(connection: sqlite3.Connection, salt: bytes) -> None:
    for [name] in connection.execute("SELECT DISTINCT rater FROM sittings ORDER BY rater").fetchall():
        change = "UPDATE OR IGNORE sittings SET rater = ? WHERE rater = ?"
        connection.execute(change, [rater_ids.rater(salt, name), name])
        # Another spelling of this name has had the same form.
        connection.execute(change, [rater_ids.hashed(salt, "rater", name), name])
    connection.execute("UPDATE about SET value = ? WHERE name = 'version'", [_VERSION])


def _make_private(path: pathlib.Path) -> None:
    # SQLite gives the files beside it (-wal, -shm) the same mode.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _only_server(path: pathlib.Path) -> int:
    """Returns the lock's file descriptor. The system frees the lock when the process ends, however it ends."""
    import fcntl  # Windows lacks this module, but ingest and forget still work there.

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise UserError(f"{path}: another server has this database open; stop that one first") from None
    return held
