"""Checks the share of rejected inputs, above which a job fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coltran import storage
from coltran.errors import UserError
from coltran.records.folder import REJECTS


def check_share(folder: str, counts: Mapping[str, int], rejects: Sequence[Mapping[str, str]], limit: float) -> None:
    """Raises UserError if more than the share `limit` of the inputs was rejected, or nothing was written.

    Args:
      folder: the job's output, whose rejects.jsonl the message names.
      counts: `read`, `written` and `rejected`.
      rejects: `source`, `reason` and `message` of each rejected input.
      limit: a share from 0 to 1.
    """
    if counts["written"] and counts["rejected"] <= limit * counts["read"]:
        return
    first = rejects[0]
    raise UserError(
        f"{counts['rejected']} of {counts['read']} inputs were rejected (--max_reject_fraction={limit:g}), first "
        f"'{first['source']}': {first['reason']}, {first['message']}; see {storage.join(folder, REJECTS)}, "
        "then repair them or allow more, and run again"
    )
