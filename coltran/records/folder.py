"""Opens a finished folder of records and reads its manifest.json and shards.

    train.tfrecord-00000-of-00064 ... manifest.json, rejects.jsonl, run.json, and an empty COMPLETED, written last

We refuse a folder without COMPLETED. If its job was killed, run the job again first.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from coltran import storage
from coltran.errors import UserError
from coltran.records import framing, schema as records

MANIFEST = "manifest.json"
COMPLETED = "COMPLETED"
REJECTS = "rejects.jsonl"
RUN = "run.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One TFRecord file.

    Attributes:
      name: file name within the folder.
      records: how many records it holds.
      size: its size in bytes.
      crc32c: checksum of the whole file, 8 hexadecimal digits.
    """

    name: str
    records: int
    size: int
    crc32c: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a record folder says about itself.

    Attributes:
      schema: `truth` or `colorized`.
      schema_version: version of `coltran.records.schema`.
      split: first part of the shards' names.
      sizes: resolution of its pixels.
      features: names of the features that every record has.
      options: the job's options that change the bytes.
      fingerprint: sha256 over options, input listing and schema version.
      shards: the shards in order.
      counts: `read`, `written`, `rejected` and other counts of the job; read = written + rejected.
      rejected_by_reason: the number of rejects for each reason.
      passed_over: the number of the source's entries that are not inputs, for each reason.
      versions: versions of the libraries that made it.
    """

    schema: str
    schema_version: int
    split: str
    sizes: records.Sizes
    features: tuple[str, ...]
    options: dict[str, object]
    fingerprint: str
    shards: tuple[Shard, ...]
    counts: dict[str, int]
    rejected_by_reason: dict[str, int]
    versions: dict[str, str]
    passed_over: dict[str, int] = dataclasses.field(default_factory=dict)

    def to_json(self) -> bytes:
        """Returns the bytes of manifest.json."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, path: str) -> Manifest:
        """Reads a manifest from `data`, the content of `path`.

        Raises:
          UserError: `data` is not a manifest of this schema version.
        """
        try:
            fields = json.loads(data)
            version = fields["schema_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a manifest of records ({error!r})") from error
        if version != records.SCHEMA_VERSION or fields.get("schema") not in records.SCHEMAS:
            raise UserError(
                f"{path}: schema '{fields.get('schema')}' version {version}, but this program reads "
                f"{', '.join(records.SCHEMAS)} version {records.SCHEMA_VERSION}; make the folder again"
            )
        try:
            return cls(
                **fields
                | {
                    "sizes": records.Sizes(**fields["sizes"]),
                    "features": tuple(fields["features"]),
                    "shards": tuple(Shard(**shard) for shard in fields["shards"]),
                }
            )
        except (KeyError, TypeError) as error:
            raise UserError(f"{path}: damaged manifest ({error})") from error


def shard_name(split: str, index: int, count: int) -> str:
    """Returns the name of a shard's file, such as train.tfrecord-00003-of-00064."""
    return f"{split}.tfrecord-{index:05d}-of-{count:05d}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordFolder:
    """An opened folder with its `path` and its `manifest`."""

    path: str
    manifest: Manifest

    @property
    def schema(self) -> records.Schema:
        """Returns the kind of its records."""
        return records.SCHEMAS[self.manifest.schema]

    @property
    def sizes(self) -> records.Sizes:
        """Returns how many pixels its images have on each side."""
        return self.manifest.sizes

    @property
    def num_records(self) -> int:
        """Returns how many records all shards hold together."""
        return sum(shard.records for shard in self.manifest.shards)

    def shard_path(self, shard: Shard) -> str:
        """Returns the path of one of its shards."""
        return storage.join(self.path, shard.name)

    def read_shard(self, shard: Shard, names: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yields the decoded records of one shard, in file order; see `schema.decode`.

        Raises:
          UserError: a record is damaged, or the number of records differs from the manifest's.
        """
        count = 0
        with storage.open_read(self.shard_path(shard)) as file:
            for data in framing.read_frames(file, self.shard_path(shard)):
                count += 1
                yield records.decode(self.schema, data, self.sizes, names)
        if count != shard.records:
            raise UserError(
                f"{self.shard_path(shard)}: {count} records, but the manifest says {shard.records}; "
                "make the folder again"
            )

    def read(self, names: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yields the decoded records of all shards, in order."""
        for shard in self.manifest.shards:
            yield from self.read_shard(shard, names)


def open_folder(path: str, *, schema: records.Schema | None = None, needs: Sequence[str] = ()) -> RecordFolder:
    """Opens a finished record folder, local or gs://.

    Args:
      path: the folder.
      schema: the kind of records that it must hold; by default either kind.
      needs: features that the caller will read.
    Raises:
      UserError: there is no finished folder, it has another schema or version, or it lacks a needed feature.
    """
    storage.check_access(path)
    if not storage.exists(storage.join(path, COMPLETED)):
        raise UserError(_why_incomplete(path))
    manifest_path = storage.join(path, MANIFEST)
    manifest = Manifest.from_json(storage.read_bytes(manifest_path), manifest_path)
    folder = RecordFolder(path=path, manifest=manifest)
    if schema is not None and manifest.schema != schema.name:
        raise UserError(f"{path}: expected {schema.name} records, got {manifest.schema} records")
    folder.schema.select(manifest.features)
    missing = [name for name in needs if name not in manifest.features]
    if missing:
        raise UserError(
            f"{path}: its records have no '{missing[0]}', only {', '.join(manifest.features)}; "
            "make the folder again with that feature"
        )
    return folder


def _why_incomplete(path: str) -> str:
    if not storage.is_folder(path):
        return f"{path}: no such folder"
    if storage.exists(storage.join(path, MANIFEST)) or storage.is_folder(storage.join(path, "_work")):
        return f"{path}: not finished (no COMPLETED file); run the job that writes it again, it goes on where it was"
    return f"{path}: not a record folder (no COMPLETED file); expected what coltran-preprocess or coltran-sample wrote"
