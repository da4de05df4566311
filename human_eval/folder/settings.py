"""Reads study.toml, in which a team keeps the settings of a study, so that no command needs flags.

The file lies in the folder that commands run in. Its names are those of the flags, with `folder` for the study folder:

    folder = "study"
    truth = "photos"
    colorized = ["ours=ours", "theirs=theirs"]
    raters = 5
"""

from __future__ import annotations

import difflib
import json
import pathlib
import tomllib
from collections.abc import Collection, Mapping, Sequence

from coltran.errors import UserError

FILE = "study.toml"
_FOLDER = "folder"  # It stands for --out of `design` and for --study of the others.
_SCORES = "score"


def read(path: pathlib.Path, known: Collection[str]) -> dict[str, object]:
    """Reads the settings. A missing file has none.

    Args:
      path: path of the file.
      known: names of the flags of all commands.

    Raises:
      UserError: the file is no TOML, or has a name that is no flag of any command.
    """
    if not path.is_file():
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is no TOML file ({error})") from None
    for name, value in found.items():
        if name != _FOLDER and name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            raise UserError(f"{path}: no setting '{name}'" + (f". Did you mean '{near[0]}'?" if near else ""))
        if isinstance(value, dict) or not _is_plain(value):
            raise UserError(f"{path}: {name} is {value!r}; expected a text, a number, true, false, or a list of texts")
    return found


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, (str, int, float, bool))


def as_flags(settings: Mapping[str, object], command: str, flags: Collection[str], given: Sequence[str]) -> list[str]:
    """Returns the settings as flags of a command. What the user gave is left out.

    Args:
      settings: the content of the file.
      command: name of the command.
      flags: names of its flags.
      given: what the user wrote.
    """
    named = dict(settings)
    folder = named.pop(_FOLDER, None)
    if folder is not None:
        named["out" if command == "design" else "study"] = folder
        if command == "score":
            named.setdefault("out", str(pathlib.PurePath(str(folder), _SCORES)))
    written = {word.partition("=")[0] for word in given}
    found: list[str] = []
    for name, value in named.items():
        if name not in flags or f"--{name}" in written or value is False:
            continue
        values = value if isinstance(value, list) else [value]
        found += [f"--{name}"] if value is True else [f"--{name}={one}" for one in values]
    return found


def write(path: pathlib.Path, settings: Mapping[str, object]) -> None:
    """Writes the settings. JSON's texts, numbers and lists of texts are TOML's too."""
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()]
    path.write_text(
        "# The settings of a study. Names are those of the flags of coltran-study.\n" + "\n".join(lines) + "\n"
    )
