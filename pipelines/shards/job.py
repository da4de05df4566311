"""Describes a job that writes a record folder shard by shard, loses nothing, and goes on where a killed run stopped.

    _work/plan.json            the job, what was asked for, and where it came from
    _work/inputs.jsonl         what all shards are made from, one line per input, shard after shard
    _work/inputs.index         where the lines of each shard begin and end
    _work/started-0001.json    when each run began, and which shards it found missing
    _work/job.json             the engine's name for a job that runs without its driver
    _work/progress-00003       how many inputs of shard 3 are done, for the progress bar
    _work/attempt-00003.json   who tries to make shard 3; it outlives a worker that dies
    _work/done-00003.json      written after shard 3 stands under its final name: counts, checksum, rejects

The driver plans (`plan.py`), and Beam workers make the shards (`writer.py`). The pipeline's last step (`finish.py`)
writes manifest, rejects, run.json, then COMPLETED, and removes `_work`. So a job ends well without its driver. A shard
depends only on its inputs, so a rerun gives the same bytes, whichever worker makes the shard.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coltran import storage
from coltran.folder_lock import LOCK
from coltran.records import folder as record_folder, schema as records
from coltran.records.folder import COMPLETED

WORK = "_work"


def fingerprint(*parts: object) -> str:
    """Hashes (sha256) everything that changes a folder's bytes, as JSON, with the records' schema version."""
    text = json.dumps([records.SCHEMA_VERSION, *parts], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest_listing(rows: Iterable[Sequence[object]]) -> str:
    """Hashes (sha256) a listing that is too long for one text in memory."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def clear(folder: str) -> None:
    """Removes the unfinished work, and the lock of a driver that may have died: a finished folder needs neither."""
    storage.remove_folder(storage.join(folder, WORK))
    storage.remove(storage.join(folder, LOCK))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardJob:
    """The description of the folder to make. It can be pickled, so every worker gets all of it.

    Attributes:
      folder: the output, local or gs://.
      schema, split, sizes, features, options, fingerprint: as in `Manifest`.
      num_shards: how many shards.
    """

    folder: str
    schema: str
    split: str
    sizes: records.Sizes
    features: tuple[str, ...]
    options: Mapping[str, object]
    fingerprint: str
    num_shards: int

    def work(self, name: str) -> str:
        """Returns the path of a file of the unfinished work."""
        return storage.join(self.folder, WORK, name)

    def shard_name(self, index: int) -> str:
        """Returns the name of a shard's file."""
        return record_folder.shard_name(self.split, index, self.num_shards)

    def shard_path(self, index: int) -> str:
        """Returns the path of a shard, which may not exist yet."""
        return storage.join(self.folder, self.shard_name(index))

    def is_completed(self) -> bool:
        """Tells whether the folder carries COMPLETED."""
        return storage.exists(storage.join(self.folder, COMPLETED))

    def remove_work(self) -> None:
        """Removes what is left of the unfinished work."""
        storage.remove_folder(storage.join(self.folder, WORK))

    def to_json(self) -> dict[str, Any]:
        """Returns all fields but the folder as a JSON object."""
        fields = dataclasses.asdict(self)
        del fields["folder"]
        return fields

    @classmethod
    def from_json(cls, folder: str, fields: Mapping[str, Any]) -> ShardJob:
        """Makes the job of `folder` from what `to_json` returned."""
        return cls(
            **{
                **fields,
                "folder": folder,
                "sizes": records.Sizes(**fields["sizes"]),
                "features": tuple(fields["features"]),
            }
        )
