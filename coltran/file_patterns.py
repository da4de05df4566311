"""Which files a folder or a pattern such as `photos/**/*.jpg` stands for, local or gs://."""

from __future__ import annotations

import re
from collections.abc import Callable

from coltran import storage
from coltran.errors import UserError
from coltran.walking import LINKED, UNREADABLE, Walk, walk

_COUNTED = (LINKED, UNREADABLE)  # of what a walk for a pattern passes over


def is_pattern(source: str) -> bool:
    """Tells whether a path is a pattern and no file or folder has that name."""
    return any(sign in source for sign in "*?[") and not storage.is_folder(source) and not storage.exists(source)


def list_matching(
    source: str, *, takes: Callable[[str], bool] = lambda name: True, skip_unreadable: bool = False
) -> tuple[str, Walk]:
    """Lists the files below a folder, or those that match a pattern.

    Args:
      source: a folder (searched recursively), or a pattern; `**/` matches any folders, `*` and `?` stay within one.
      takes, skip_unreadable: as in `walk`.
    Returns:
      The folder (for a pattern, the folders before its first sign), and the walk through it. Files that do not match
      a pattern are not what the user asked for, so they are not counted, and neither are hidden ones.
    Raises:
      UserError: the pattern cannot be read, such as `[z-a].jpg`, or a folder cannot.
    """
    if not is_pattern(source):
        return source, walk(source, takes=takes, skip_unreadable=skip_unreadable, can_skip=True)
    folders = re.match(r"[^*?\[]*/", source)  # the whole folder names before the first sign
    fixed = folders[0] if folders else ""
    try:
        pattern = re.compile(_regex(source[len(fixed) :]))
    except re.error as error:
        raise UserError(f"{source}: is no pattern that can be read: {error}") from error

    def matches(name: str) -> bool:
        return pattern.fullmatch(name) is not None

    if not storage.is_folder(fixed or "."):
        return fixed or ".", Walk(files=(), passed_over={})
    found = walk(
        fixed or ".",
        takes=lambda name: matches(name) and takes(name),
        skip_unreadable=skip_unreadable,
        can_skip=True,
    )
    files = tuple((name, size) for name, size in found.files if matches(name))
    passed_over = {reason: found.passed_over[reason] for reason in _COUNTED if reason in found.passed_over}
    return fixed or ".", Walk(files=files, passed_over=passed_over)


def _regex(pattern: str) -> str:
    """Turns a path pattern into a regular expression."""
    parts = re.split(r"(\*\*/|\*|\?|\[[^]]+\])", pattern)
    signs = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts)
