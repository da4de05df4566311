"""Turns raters' names into salted hashes.

The salt and the hashes of raters who asked to be forgotten stay in the study's private folder.
"""

from __future__ import annotations

import hashlib
import hmac
import pathlib
import re
import unicodedata

from human_eval.folder.layout import load_secret, private_file

_SALT = pathlib.PurePath("private", "rater_salt")
_FORGOTTEN = pathlib.PurePath("private", "forgotten.txt")
_HEX_DIGITS = 16
_CODE = "rater:"
_INVISIBLE = ("Cf", "Cc")  # These Unicode categories hold marks of direction, characters of no width and controls.
_WHOLE_AS_DECIMAL = re.compile(r"^([0-9]{4,})\.0+$")


def salt(folder: str | pathlib.Path) -> bytes:
    """Returns the study's salt (mode 0600). The first call draws it. Another salt would make other hashes."""
    return load_secret(pathlib.Path(folder) / _SALT)


def canonical(name: str) -> str:
    """Returns the one spelling of a name, so that one person is one rater.

    Names are the same if they differ only in case, Unicode form or width, spaces, characters of no width, or the `.0`
    that a program adds when it takes a number for a decimal.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    words = "".join(c for c in plain if unicodedata.category(c) not in _INVISIBLE or c.isspace()).split()
    return _WHOLE_AS_DECIMAL.sub(r"\1", unicodedata.normalize("NFC", " ".join(words)))


def rater(salt: bytes, name: str, source: str = "") -> str:
    """Returns a rater's hash, which is the same for all spellings of a name.

    Args:
      salt: the study's salt.
      name: the name as the source spells it. What `code` made is a hash already, and stays.
      source: name of the server that knows the rater, if there are several. On another server the name is another
        person.
    """
    if name.startswith(_CODE):
        return name.removeprefix(_CODE)
    plain = canonical(name)
    return hashed(salt, "rater", f"{source}|{plain}" if source else plain)


def code(hashed_name: str) -> str:
    """Returns what stands for a rater where the name itself is not kept, as in the server's database."""
    return _CODE + hashed_name


def page_code(study: str, name: str) -> str:
    """Returns what the rater page writes in place of a name. It is the same as `codeOf` in page/codes.js.

    Everybody can compute it, so it hides a name only from people who do not guess.
    """
    plain = unicodedata.normalize("NFKC", name).lower()
    words = "".join(c for c in plain if unicodedata.category(c) not in _INVISIBLE or c.isspace()).split()
    return "code-" + hashlib.sha256(f"{study}|{' '.join(words)}".encode()).hexdigest()[:16]


def is_hash(name: str) -> bool:
    """Returns whether a name is a hash already."""
    return re.fullmatch(rf"[0-9a-f]{{{_HEX_DIGITS}}}", name) is not None


def hashed(salt: bytes, kind: str, name: str) -> str:
    """Returns a short hash of a name. Without the salt nobody can find the name by guessing.

    Args:
      salt: the study's salt.
      kind: `rater` or `assignment`. Equal names of two kinds get different hashes.
      name: the name as the source spells it.
    """
    text = f"{kind}|{name}".encode("utf-8", "surrogatepass")
    return hmac.new(salt, text, hashlib.sha256).hexdigest()[:_HEX_DIGITS]


def forgotten(folder: str | pathlib.Path) -> set[str]:
    """Returns the hashes of raters whose data was deleted. Ingesting their files again does not bring them back."""
    path = pathlib.Path(folder) / _FORGOTTEN
    return set(path.read_text().split()) if path.exists() else set()


def forget(folder: str | pathlib.Path, rater: str) -> None:
    """Notes that the rater with this hash must not come back."""
    lines = sorted(forgotten(folder) | {rater})
    private_file(pathlib.Path(folder) / _FORGOTTEN, "".join(line + "\n" for line in lines).encode())


def is_flipped(name: str, trial: int) -> bool:
    """Returns whether the page flips a trial's order. A hash of `name|trial` decides it, as in page/flips.js."""
    value = 0x811C9DC5
    for byte in f"{name}|{trial}".encode("utf-8", "replace"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return bool((value ^ (value >> 16)) & 1)
