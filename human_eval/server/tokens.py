"""Makes session tokens and completion codes with the study's secret, so that nobody can invent one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from human_eval.server.sitting import RefusedError

_TOKEN = re.compile(r"([0-9a-f]{16})-([0-9]{1,9})-([0-9a-f]{32})")
_CODE_BYTES = 5


def session_token(secret: bytes, sitting: str, turn: int) -> str:
    """Makes the token that a page needs to save answers. It names the sitting and the turn."""
    return f"{sitting}-{turn}-{_mac(secret, f'session|{sitting}|{turn}').hex()[:32]}"


def read_session(secret: bytes, token: str) -> tuple[str, int]:
    """Returns (sitting, turn) of a token. It raises a RefusedError if the token was not made here."""
    found = _TOKEN.fullmatch(token)
    if not found or not hmac.compare_digest(token, session_token(secret, found[1], int(found[2]))):
        raise RefusedError(403, "this session is not known here; open your link again")
    return found[1], int(found[2])


def completion_code(secret: bytes, sitting: str) -> str:
    """Makes the completion code of a sitting. The code tells nothing about the sitting."""
    return base64.b32encode(_mac(secret, f"code|{sitting}")[:_CODE_BYTES]).decode()


def _mac(secret: bytes, text: str) -> bytes:
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()
