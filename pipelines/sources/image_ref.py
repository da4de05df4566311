"""Says where one image's bytes lie. The index and the plans for the workers consist of these references."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines.sources.labels import UNKNOWN

REFUSED = "refused"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImageRef:
    """A reference to the place where one image's bytes lie.

    Attributes:
      key: record key, `<split>/<path within the split, without suffix>`; the code that lists a file's images puts the
        image's own name here, and the index turns it into the key.
      label: 0..999, or -1 if unknown.
      name: path within the source, for messages.
      path: the file that holds the bytes.
      size: bytes to read there; images in Parquet files have no size of their own, so it is the file's size.
      place: the place in the file: () for all of it, ("tar", offset), ("zip", offset of the local header, packing,
        CRC-32, size when unpacked), ("tfrecord", offset of the record), or ("parquet", row group, row within it);
        (REFUSED, reason, message) if the listing shows already that the image cannot be taken.
    """

    key: str = ""
    label: int = UNKNOWN
    name: str
    path: str
    size: int
    place: tuple[Any, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Returns the fields as a JSON object for a worker."""
        return {field: getattr(self, field) for field in self.__slots__}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ImageRef:
        """Restores the reference from what `to_json` returned."""
        return cls(**{**fields, "place": tuple(fields["place"])})


@dataclasses.dataclass(frozen=True, slots=True)
class PassedOver:
    """An entry of a source that is not taken for an image. `reason` is for counting, such as `.xml` or `hidden`."""

    reason: str
