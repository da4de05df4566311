"""Keeps the inputs of all shards in one file, so that a plan takes two uploads however many shards it has.

`_work/inputs.jsonl` holds one JSON object per line, shard after shard. `_work/inputs.index` holds for each shard, in
fields of fixed width, where its lines begin, how many bytes they are, and how many lines. A worker reads its own
entry, and then its own lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from coltran import storage
from coltran.errors import UserError
from pipelines.shards.job import ShardJob

_LINES, _INDEX = "inputs.jsonl", "inputs.index"
_WIDTHS = (16, 16, 12)
_ENTRY = sum(_WIDTHS) + len(_WIDTHS)  # bytes of an entry: every field is followed by a space, the last by a new line


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


def write_inputs(job: ShardJob, inputs: Sequence[ShardInputs]) -> None:
    """Writes the inputs of all shards. Only one shard's lines are in memory at a time."""
    entries = []
    place = 0
    with storage.open_write(job.work(_LINES)) as file:
        for shard in inputs:
            data = to_lines(shard)
            file.write(data)
            entries.append(_entry(place, len(data), len(shard)))
            place += len(data)
    storage.write_bytes(job.work(_INDEX), b"".join(entries))


def _entry(*fields: int) -> bytes:
    return " ".join(f"{field:{width}d}" for field, width in zip(fields, _WIDTHS, strict=True)).encode() + b"\n"


def read_inputs(job: ShardJob, index: int) -> list[dict[str, Any]]:
    """Reads the inputs that the plan gave to a shard.

    Raises:
      UserError: the plan is damaged or gone.
    """
    entry = storage.read_range(job.work(_INDEX), index * _ENTRY, _ENTRY)
    if len(entry) != _ENTRY:
        raise UserError(f"{job.work(_INDEX)}: holds no entry of shard {index}; delete {job.folder} and run again")
    place, length, count = map(int, entry.split())
    lines = from_lines(storage.read_range(job.work(_LINES), place, length))
    if len(lines) != count:
        raise UserError(
            f"{job.work(_LINES)}: expected {count} inputs of shard {index}, found {len(lines)}; delete {job.folder} "
            "and run again"
        )
    return lines


def count_inputs(job: ShardJob) -> list[int]:
    """Returns how many inputs the plan gave to each shard."""
    return [int(entry.split()[2]) for entry in storage.read_bytes(job.work(_INDEX)).splitlines()]
