"""Delete one rater's data, and keep it from coming back.

    coltran-study forget --study study --rater A2XEXAMPLE

removes the rater's rows from private/ratings.csv and private/pilot_ratings.csv, and the rater's name, sittings and
answers from the study server's databases (a running server may go on; it gives the places to others), and notes the
hash: ingesting the same files again leaves them out, and the server lets this rater in no more. Delete the rater's
answer files and your copies of the databases yourself, and score again: earlier reports still count the ratings.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from coltran.errors import UserError
from coltran.options import option
from human_eval.answers import comments, join, key as answer_key, ratings, settling
from human_eval.commands.ingest import kept_path
from human_eval.folder import rater_ids
from human_eval.scoring import exclusions
from human_eval.server import database


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The command's options."""

    study: str = option(metavar="FOLDER", help="study folder")
    rater: str = option(help="the rater's name or worker number as the source spelled it, or the hash")
    ratings: str | None = option(None, metavar="FILE", shown="both of FOLDER/private", help="the table")


def run(options: Options) -> None:
    """Deletes a rater from the tables and databases of a study, and prints how much was deleted."""
    study = pathlib.Path(options.study)
    both = [study / name for name in (ratings.IN_STUDY, ratings.IN_STUDY_PILOT)]
    deleted, left, sittings = forget(study, options.rater, [pathlib.Path(options.ratings)] if options.ratings else both)
    print(
        f"{deleted} ratings and {sittings} sittings on the server of that rater deleted, {left} ratings of others "
        "left; delete the answer files and copies of the database, and score again"
    )


def forget(study: str | pathlib.Path, rater: str, tables: Sequence[pathlib.Path]) -> tuple[int, int, int]:
    """Deletes a rater's rows from tables and from the server's databases.

    Args:
      study: the study folder, for its salt and databases.
      rater: the rater's name, or the hash in the tables.
      tables: tables of ratings. A missing file counts as an empty table.

    Returns:
      The number of deleted rows, of remaining rows, and of sittings deleted from the databases.

    Raises:
      UserError: there is no such study or rater, or a table belongs to another study.
    """
    key, salt = answer_key.load(study), rater_ids.salt(study)
    rater = rater.strip()
    # Before version 0.2 the hash was one of the name as it was spelled.
    spellings = (rater, rater_ids.page_code(key.study, rater))
    hashes = {rater, rater_ids.hashed(salt, "rater", rater), *(rater_ids.rater(salt, name) for name in spellings)}
    found = {path: ratings.read(path) for path in tables if path.exists()}
    for path, table in found.items():
        if any(rating.study != key.study for rating in table):
            raise UserError(f"{path}: holds ratings of another study than {study}")
    databases = [pathlib.Path(study) / name for name in (database.STUDY_DATABASE, database.PILOT_DATABASE)]
    # Databases of version 0.1.0 hold names, and all others hold hashes.
    names = {(path, name) for path in databases for name in database.raters(path)}
    known = {(path, name, name if rater_ids.is_hash(name) else rater_ids.rater(salt, name)) for path, name in names}
    known = {(path, name, one) for path, name, one in known if hashes & {name, one}}
    gone = {row.rater for table in found.values() for row in table if row.rater in hashes} - {""}
    gone |= {one for _, _, one in known}
    if not gone:
        places = ", ".join(map(str, (*found, *(path for path in databases if path.exists())))) or study
        raise UserError(
            f"{places}: has no rating of the rater '{rater[:40]}'; give the name as the answer file spells it"
        )
    for one in gone:  # This comes first, so that a running server does not let the rater in again.
        rater_ids.forget(study, one)
    sittings = sum(database.delete_rater(path, name) for path, name, _ in sorted(known))
    deleted = kept = 0
    counted = exclusions.counted_statuses(exclusions.read_or_defaults(pathlib.Path(study) / exclusions.RULES))
    for path, table in found.items():
        left = settling.settle((rating for rating in table if rating.rater not in gone), counted=counted)
        ratings.write(path, left)
        comments.add(comments.path_beside(path), (), without=gone)
        kept_path(path).unlink(missing_ok=True)
        join.summary_path(path).unlink(missing_ok=True)  # It names sittings. The next ingest writes it again.
        deleted, kept = deleted + len(table) - len(left), kept + len(left)
    return deleted, kept, sittings
