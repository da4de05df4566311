"""Checks what the rater page sends. People who write to the server by hand can do no more than the page can."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from coltran.errors import UserError
from human_eval.folder.strict_json import parse_json
from human_eval.server.sitting import RefusedError

_MAX_TRIAL = 2**53
_MAX_RESTARTS = 1000
_MAX_EXPOSURES = 2
_MAX_MS = 1e10
_EXPOSURE_FIELDS = ("planned_ms", "actual_ms", "frame_ms", "dropped")
# These are the longest texts that we keep of what a page says at the end. Longer texts are cut.
_TEXTS = {"consent": 64, "color_vision": 200, "comment": 4000, "user_agent": 400, "finished": 64}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerBody:
    """One well-formed answer. `check_pair` checks whether it belongs to the sitting's form."""

    session: str
    trial: int
    shown: tuple[str, str]
    fake: str
    text: str  # This is the whole answer as JSON. It is always the same for the same answer.


def read_object(data: bytes) -> dict[str, Any]:
    """Reads the JSON object of a body. It raises a RefusedError for anything else."""
    try:
        found = parse_json(data.decode(), "the request")
    except (UnicodeDecodeError, UserError):
        raise RefusedError(400, "the request is no whole JSON text in UTF-8") from None
    if not isinstance(found, dict):
        raise RefusedError(400, "the request is no JSON object")
    return found


def session_of(body: Mapping[str, object]) -> str:
    """Returns the session token of a body. It raises a RefusedError if there is none."""
    session = body.get("session")
    if not isinstance(session, str) or not session.isascii():
        raise RefusedError(403, "the request names no session")
    return session


def read_answer(body: Mapping[str, object]) -> AnswerBody:
    """Reads an answer. It raises a RefusedError for anything that the page never sends."""
    trial, shown, fake = (body.get(name) for name in ("trial", "shown", "fake"))
    if not _is_whole(trial, _MAX_TRIAL):
        raise RefusedError(400, "trial: expected a whole number")
    if not isinstance(shown, list) or len(shown) != 2 or not all(_is_name(name) for name in shown):
        raise RefusedError(400, "shown: expected two file names")
    if not _is_name(fake) or fake not in shown:
        raise RefusedError(400, "fake: expected one of the two files shown")
    restarts, interrupted = body.get("restarts", 0), body.get("interrupted", False)
    if not _is_whole(restarts, _MAX_RESTARTS) or not isinstance(interrupted, bool):
        raise RefusedError(400, "restarts, interrupted: expected a whole number, and true or false")
    exposures = body.get("exposures", [])
    if not isinstance(exposures, list) or len(exposures) > _MAX_EXPOSURES:
        raise RefusedError(400, "exposures: expected a list of two")
    answer = {
        "trial": trial,
        "shown": shown,
        "fake": fake,
        "response_ms": _milliseconds("response_ms", body.get("response_ms")),
        "restarts": restarts,
        "interrupted": interrupted,
        "exposures": [_exposure(found) for found in exposures],
    }
    return AnswerBody(
        session=session_of(body),
        trial=trial,
        shown=(shown[0], shown[1]),
        fake=fake,
        text=json.dumps(answer, separators=(",", ":")),
    )


def check_pair(answer: AnswerBody, handed_out: Mapping[int, Sequence[str]]) -> str:
    """Returns the text to save for an answer that fits the sitting.

    Args:
      answer: the answer from the page.
      handed_out: for each trial, its two files in the order that this sitting got.

    Raises:
      RefusedError: the trial belongs to another form, or these files were not handed out in this order.
    """
    pair = handed_out.get(answer.trial)
    if pair is None:
        raise RefusedError(400, f"trial {answer.trial}: does not belong to this session")
    if answer.shown != tuple(pair):
        raise RefusedError(400, f"trial {answer.trial}: these files were not handed out for it in this order")
    return answer.text


def read_end(body: Mapping[str, object]) -> dict[str, object]:
    """Reads what the page says at the end besides the answers. It raises a RefusedError if there is no consent."""
    end: dict[str, object] = {name: _text(body.get(name))[:most] for name, most in _TEXTS.items()}
    if not end["consent"]:
        raise RefusedError(400, "consent: expected the time at which the rater agreed")
    ratio, screen = body.get("device_pixel_ratio"), body.get("screen")
    end["device_pixel_ratio"] = ratio if _is_number(ratio) else None
    good = isinstance(screen, list) and len(screen) == 2 and all(map(_is_number, screen))
    return end | {"screen": screen if good else None}


def _exposure(found: object) -> dict[str, float | None]:
    if not isinstance(found, dict):
        raise RefusedError(400, "exposures: expected objects")
    return {name: _milliseconds(name, found.get(name)) for name in _EXPOSURE_FIELDS}


def _milliseconds(name: str, value: object) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not 0 <= value < _MAX_MS:
        raise RefusedError(400, f"{name}: expected a number from 0 up")
    return value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object, below: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= 64 and value.isascii()


def _text(value: object) -> str:
    # Half a surrogate pair cannot be saved or printed.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
