"""Delete one rater's ratings, and keep them from coming back.

    coltran-study forget --study study --rater A2XEXAMPLE

removes the rater's rows from private/ratings.csv and notes the hash, so that ingesting the same files again leaves
them out. Delete the rater's answer files yourself, and score again: earlier reports still count the ratings.
"""

from __future__ import annotations

import argparse
import pathlib

from coltran.errors import UserError
from human_eval import answer_key, ingest, rater_ids, ratings


def add_options(add) -> None:
    add("--study", required=True, metavar="FOLDER", help="study folder")
    add("--rater", required=True, help="the rater's name or worker number as the source spelled it, or the hash")
    add("--ratings", metavar="FILE", help="the table (FOLDER/private/ratings.csv)")


def run(found: argparse.Namespace) -> None:
    path = pathlib.Path(found.ratings or pathlib.Path(found.study) / ratings.IN_STUDY)
    deleted, left = forget(found.study, found.rater, path)
    print(f"{deleted} ratings of that rater deleted from {path}, {left} left; delete the answer files and score again")


def forget(study: str, rater: str, path: pathlib.Path) -> tuple[int, int]:
    """Deletes a rater's rows from a table.

    Args:
      study: the study folder, for its salt.
      rater: name, or the hash that the table has.
      path: of the table.
    Returns:
      How many rows were deleted, and how many are left.
    Raises:
      UserError: no such study, table or rater.
    """
    key, table = answer_key.load(study), ratings.read(path)
    if any(rating.study != key.study for rating in table):
        raise UserError(f"{path}: holds ratings of another study than {study}")
    hashes = {rater_ids.hashed(rater_ids.salt(study), "rater", rater.strip()), rater}
    gone = {rating.rater for rating in table if rating.rater in hashes} - {""}
    if not gone:
        raise UserError(
            f"{path}: has no rating of the rater '{rater[:40]}'; give the name as the answer file spells it"
        )
    left = ingest.settle(rating for rating in table if rating.rater not in gone)
    for one in gone:
        rater_ids.forget(study, one)
    ratings.write(path, left)
    path.with_name("ingest.json").unlink(missing_ok=True)  # it names sittings; the next ingest writes it anew
    return len(table) - len(left), len(left)
