"""Where one image's bytes lie: what the index is made of, and what is planned for the workers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines.sources.labels import UNKNOWN


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImageRef:
    """Where one image's bytes lie.

    Attributes:
      key: record key, `<split>/<path within the split, without suffix>`; what lists the images of a file puts the
        image's own name here, of which the index makes the key.
      label: 0..999, or -1 where unknown.
      name: path within the source, for messages.
      path: the file that holds the bytes.
      size: bytes to read there; of Parquet files, whose images have no size of their own, that of the file.
      place: where in the file: () for all of it, ("tar", offset), ("zip", offset of the local header, packing),
        ("tfrecord", offset of the record), or ("parquet", row group, row within it).
    """

    key: str = ""
    label: int = UNKNOWN
    name: str
    path: str
    size: int
    place: tuple[Any, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The fields as a JSON object, for a worker."""
        return {field: getattr(self, field) for field in self.__slots__}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ImageRef:
        """Makes the reference again from what `to_json` returned."""
        return cls(**{**fields, "place": tuple(fields["place"])})
