"""Writes a shard's inputs as JSON objects, one per line, for the worker that makes the shard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol


class ShardInputs(Protocol):
    """The inputs of one shard. Their number is known. They may be made while they are read."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Mapping[str, object]]: ...


def to_lines(lines: Iterable[Mapping[str, object]]) -> bytes:
    """Writes JSON objects as text, one per line, with sorted names."""
    return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines).encode()


def from_lines(data: bytes) -> list[dict[str, Any]]:
    """Reads the JSON objects that `to_lines` wrote."""
    return [json.loads(line) for line in data.splitlines()]
