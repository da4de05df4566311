"""Defines the table of ratings, `ratings.csv` on disk. It has one row per rating, whatever collected it.

Rows that do not count stay in the table, with the reason in `excluded`. Text that a spreadsheet would take for a
formula is written with an apostrophe in front, and read back without it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from coltran.errors import UserError
from human_eval.folder.layout import private_file
from human_eval.folder.spreadsheet import csv_bytes, unescape_formula

KINDS = ("test", "catch", "practice")
PLACES = ("first", "second")
IN_STUDY = pathlib.PurePath("private", "ratings.csv")  # A study folder has its table here.
IN_STUDY_PILOT = pathlib.PurePath("private", "pilot_ratings.csv")  # The table of its trial runs is here.
MADE_UP = "simulated"  # The source of simulated ratings begins with this.
ADDED = ("status", "vision", "place", "elapsed_ms", "sitting_ms")  # Tables of version 0.1.0 lack these columns.
PILOT = "pilot"  # The source of a trial run's ratings begins with this, after MADE_UP if they are simulated too.


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """One answer of one rater to one pair. None stands for facts that the source did not give.

    Attributes:
      study: the answer key that it was joined with.
      rater: salted hash of the rater's name; empty if the source names no rater.
      assignment: one sitting of one rater with one form.
      form, trial: numbers of the design; None if no such trial is known.
      kind: test, catch (an obviously wrong fake) or practice. Only test rows are scored.
      model, key, sample: which colorization was shown.
      truth_first: the order that was really shown.
      chosen: which image was called fake, `first` or `second`; empty if nothing was chosen.
      fooled: whether the truth was called fake.
      response_ms: time from the question's appearance to the answer.
      first_ms, second_ms: measured exposures.
      voided: whether the page was hidden or left during the last showing too. Then the exposures cannot be trusted.
      repeated: whether the pair was shown a second time because the first showing was interrupted.
      submitted: UTC, ISO 8601.
      source: the format that it was read from.
      excluded: why it does not count; empty if it counts.
      status: what the service says of the assignment, such as Approved or Rejected.
      vision: what the rater said of their color vision.
      place: place of the answer in the sitting, from 0.
      elapsed_ms: time from the answer before to this one by the server's clock.
      sitting_ms: time of the whole sitting, from acceptance or consent to the end.
    """

    study: str
    rater: str
    assignment: str
    form: int | None
    trial: int | None
    kind: str
    model: str
    key: str
    sample: int | None
    truth_first: bool | None
    chosen: str
    fooled: bool | None
    response_ms: float | None
    first_ms: float | None
    second_ms: float | None
    voided: bool
    repeated: bool
    submitted: str
    source: str
    excluded: str
    status: str = ""
    vision: str = ""
    place: int | None = None
    elapsed_ms: float | None = None
    sitting_ms: float | None = None

    @property
    def counts(self) -> bool:
        """Whether the rating counts in the fooling rate."""
        return self.kind == "test" and not self.excluded

    @property
    def known_sample(self) -> int:
        """The sample of a rating that counts.

        Raises:
          ValueError: the rating does not belong to a known trial.
        """
        if self.sample is None:
            raise ValueError(f"expected a rating of a known trial, got one with the reason '{self.excluded}'")
        return self.sample

    @property
    def nature(self) -> tuple[bool, bool]:
        """Whether the rating was made up, and whether it belongs to a pilot. A table holds ratings of one nature."""
        words = self.source.split()
        return words[:1] == [MADE_UP], PILOT in words[:2]


def order(rating: Rating) -> tuple:
    """Returns the sort key of the table. Time comes first, so that the first of several answers comes first."""
    identity = (rating.submitted or "~", rating.assignment, -1 if rating.trial is None else rating.trial)
    return (*identity, tuple(map(str, dataclasses.astuple(rating))))


def to_csv(ratings: Iterable[Rating]) -> bytes:
    """Returns the table as a CSV file in the given order."""
    return csv_bytes(list(_READERS), ([getattr(rating, name) for name in _READERS] for rating in ratings))


def from_csv(data: bytes, where: str) -> list[Rating]:
    """Reads the ratings of a CSV file that `to_csv` wrote and that somebody may have edited since.

    Args:
      data: bytes of the file.
      where: name of the file, for messages.

    Raises:
      UserError: the file has other columns, a row was cut off, or a cell does not fit its column.
    """
    rows = read_rows(data, where)
    header = next(rows, (0, []))[1]
    if header not in (list(_READERS), list(_READERS)[: -len(ADDED)]):
        raise UserError(f"{where}: is no table of ratings (expected the columns {', '.join(list(_READERS)[:5])}, ...)")
    return [_rating(header, row, where, line) for line, row in rows]


def read_rows(data: bytes, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number, cells) for each row of a CSV file. It raises a UserError if the file is not CSV."""
    try:
        # We do not translate line ends, because a cell may hold any of them.
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig", "surrogatepass"), newline=""), strict=True)
        csv.field_size_limit(2**24)  # One cell may hold the answers of a whole form.
        for row in reader:
            yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where}: is no whole CSV file in UTF-8 ({error}); export or download it again") from None


def read(path: str | pathlib.Path) -> list[Rating]:
    """Reads the ratings of a file. It raises a UserError as `from_csv` does, and if the file is missing."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; `coltran-study ingest` writes it")
    return from_csv(path.read_bytes(), str(path))


def write(path: str | pathlib.Path, ratings: Iterable[Rating]) -> None:
    """Writes the table so that only its owner can read it, because it says which images are real."""
    private_file(pathlib.Path(path), to_csv(ratings))


def _optional(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda cell: read(cell) if cell else None


_READERS: dict[str, Callable[[str], Any]] = {
    field.name: {
        "str": unescape_formula,
        "bool": {"true": True, "false": False}.__getitem__,
        "int | None": _optional(int),
        "float | None": _optional(float),
        "bool | None": _optional({"true": True, "false": False}.__getitem__),
    }[str(field.type)]
    for field in dataclasses.fields(Rating)
}


def _rating(header: Sequence[str], row: Sequence[str], where: str, line: int) -> Rating:
    if len(row) != len(header):
        raise UserError(f"{where}, line {line}: {len(row)} cells, expected {len(header)}; the file was cut or edited")
    values: dict[str, Any] = {}
    for name, cell in zip(header, row, strict=True):
        try:
            values[name] = _READERS[name](cell)
        except (ValueError, KeyError):
            raise UserError(
                f"{where}, line {line}: column {name} holds '{cell[:40]}', which is no value of it"
            ) from None
    if values["kind"] not in (*KINDS, "") or values["chosen"] not in (*PLACES, ""):
        raise UserError(
            f"{where}, line {line}: kind '{values['kind'][:20]}' or choice '{values['chosen'][:20]}' is unknown"
        )
    return Rating(**values)
