"""Reads the server's address and the token. Both are checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
import pathlib
import re
import stat
from urllib.parse import urlsplit

from coltran.errors import UserError

TOKEN_VARIABLE = "TURKLE_TOKEN"
_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
_API = "/api"  # This path lies below the server's address. People may copy it with the address.


def read_token(file: str | None) -> str:
    """Reads the token from the environment or from a file. No message shows any part of it.

    Args:
      file: file with the token; None for the environment.

    Raises:
      UserError: there is no token, it cannot be right, or people other than its owner may read the file.
    """
    if file is None:
        found, where = os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
        if not found.strip():
            raise UserError(f"no token: set {TOKEN_VARIABLE}, or give --token_file, with the token of a staff account")
    else:
        found, where = _read_private(pathlib.Path(file)), file
    token = found.strip()
    if not _TOKEN.fullmatch(token):
        raise UserError(f"{where}: expected one token on one line, without spaces")
    return token


def _read_private(path: pathlib.Path) -> str:
    if not path.is_file():
        raise UserError(f"--token_file {path}: no such file")
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise UserError(f"--token_file {path}: others may read it (mode {mode:04o}); do `chmod 600` first")
        return file.read(4096).decode("ascii", "replace")


def read_address(url: str, *, insecure: bool = False) -> str:
    """Returns the address of a server without its last slash.

    Args:
      url: the address as a person wrote it.
      insecure: whether the token may go in clear text to another machine.

    Raises:
      UserError: the text is not an address, it names a user, or it has http:// to another machine.
    """
    try:
        parts = urlsplit(url)
        name, _ = parts.hostname, parts.port
    except ValueError:
        name = None
    if not name or parts.scheme not in ("http", "https") or parts.query or parts.fragment or re.search(r"\s", url):
        raise UserError(f"--turkle: expected an address such as https://turkle.example.org/, got '{_shown(url)}'")
    if "@" in parts.netloc:
        raise UserError(f"--turkle: expected an address without user and password, got '{_shown(url)}'")
    if parts.scheme == "http" and not is_loopback(url) and not insecure:
        raise UserError(
            f"--turkle {url}: http:// would send the token in clear to another machine; use https://, or --insecure"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/').removesuffix(_API).rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Says whether an address belongs to this machine itself."""
    name = urlsplit(url).hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _shown(url: str) -> str:
    """Returns the address without a user and password that may be in it."""
    return re.sub(r"//.*@", "//...@", url)
