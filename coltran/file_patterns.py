"""Which files a folder or a pattern such as `photos/**/*.jpg` stands for, local or gs://."""

from __future__ import annotations

import re

from coltran import storage
from coltran.errors import UserError

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


def is_pattern(source: str) -> bool:
    """Tells whether a path is a pattern and no file or folder has that name."""
    return any(sign in source for sign in "*?[") and not storage.is_folder(source) and not storage.exists(source)


def list_matching(source: str) -> tuple[str, list[tuple[str, int]]]:
    """Lists the files below a folder, or those that match a pattern.

    Args:
      source: a folder (searched recursively), or a pattern; `**/` matches any folders, `*` and `?` stay within one.
    Returns:
      The folder (for a pattern, the folders before its first sign), and (path within that folder, size in bytes) of
      each file, sorted by path.
    Raises:
      UserError: the pattern cannot be read, such as `[z-a].jpg`.
    """
    if not is_pattern(source):
        return source, storage.list_files(source)
    folders = re.match(r"[^*?\[]*/", source)  # the whole folder names before the first sign
    fixed = folders[0] if folders else ""
    try:
        pattern = re.compile(_regex(source[len(fixed) :]))
    except re.error as error:
        raise UserError(f"{source}: is no pattern that can be read: {error}") from error
    return fixed or ".", [(name, size) for name, size in storage.list_files(fixed or ".") if pattern.fullmatch(name)]


def _regex(pattern: str) -> str:
    """Turns a path pattern into a regular expression."""
    parts = re.split(r"(\*\*/|\*|\?|\[[^]]+\])", pattern)
    signs = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts)
