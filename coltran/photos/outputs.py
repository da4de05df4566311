"""Keeps the output folder safe: results replace those of an earlier run, never a file that somebody else put there.

OUT/.coltran-colorize     the names of all files that the command has written there, as JSON
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator

from coltran import storage
from coltran.errors import UserError
from coltran.images import encoding
from coltran.photos.arguments import Options

LISTING = ".coltran-colorize"
CONTACT_SHEET, REJECTS = "contact_sheet.png", "rejects.jsonl"


def names_of_all(photos: Iterable[str], options: Options) -> Iterator[str]:
    """Yields the names, below the output folder, of all files that the command may write for photos of these names."""
    yield REJECTS
    if options.sheet:
        yield CONTACT_SHEET
    for photo in photos:
        for sample in range(options.samples):
            yield from names_of_sample(photo, sample, options).values()


def names_of_sample(photo: str, sample: int, options: Options) -> dict[str, str]:
    """Returns the names of the files of one sample: `photo`, and with --uncertainty `map` and `numbers`."""
    name = f"{photo}_sample{sample}"
    names = {"photo": f"{name}.{encoding.FORMATS[options.format]}"}
    if options.uncertainty:
        names |= {"map": f"{name}_certainty.png", "numbers": f"{name}_certainty.npy"}
    return names


def earlier(out: str) -> set[str]:
    """Returns the names, below the output folder, of the files that the command has written there before."""
    path = storage.join(out, LISTING)
    if not storage.exists(path):
        return set()
    try:
        return set(json.loads(storage.read_bytes(path))["files"])
    except (ValueError, KeyError, TypeError):
        return set()


def claim(out: str, names: Iterable[str]) -> None:
    """Lists the files that the command is going to write. Raises UserError if one of them is there and not its own.

    Args:
      out: output folder, local or gs://.
      names: the files' names below it.
    """
    own = earlier(out)
    planned = set(names)
    if storage.is_gcs(out):
        present = {name for name, _ in storage.list_files(out)}
    else:
        present = {name for name in planned if os.path.lexists(storage.join(out, *name.split("/")))}
    foreign = sorted((planned & present) - own)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UserError(
            f"{storage.join(out, foreign[0])}{more}: this command did not write that file and would replace it; give "
            "--out another folder, or move the file away"
        )
    listing = json.dumps({"files": sorted(own | planned)}, indent=1).encode("utf-8", "surrogateescape")
    storage.write_bytes(storage.join(out, LISTING), listing + b"\n")
