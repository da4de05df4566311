"""Reads images from Parquet files as Hugging Face ships ImageNet, with columns `image` of {bytes, path} and `label`.

To read a row, we must read its whole row group. So a shard consists of rows that lie together, and a reader keeps the
row group that it read last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from coltran import storage
from coltran.errors import UserError
from pipelines.sources.files import SourceFile
from pipelines.sources.image_ref import ImageRef
from pipelines.sources.labels import label_from


def list_rows(file: SourceFile) -> Iterator[ImageRef]:
    """Lists the images of one Parquet file, but not their bytes. Raises UserError for a damaged or another table."""
    with _opened(file.path) as table:
        columns = _small_columns(table, file.path)
        number = 0
        for group in range(table.num_row_groups):
            read = table.read_row_group(group, columns=columns).to_pydict() if columns else {}
            empty = [None] * table.metadata.row_group(group).num_rows
            images, labels = read.get("image", empty), read.get("label", empty)
            for row, (image, label) in enumerate(zip(images, labels, strict=True)):
                path = image.get("path") if isinstance(image, dict) else None
                place = ("parquet", group, row)
                yield file.record(path, number, size=file.size, place=place, label=label_from(label))
                number += 1


class RowReader:
    """Reads images by (row group, row). It is fast if neighbors are read one after the other."""

    def __init__(self) -> None:
        self._held: tuple[str, int] | None = None
        self._images: Any = None

    def read(self, ref: ImageRef) -> bytes:
        """Reads an image's encoded bytes. Raises ValueError if the row has none."""
        _, group, row = ref.place
        if self._held != (ref.path, group):
            self._images = None  # so that we never hold two row groups at once
            with _opened(ref.path) as table:
                self._images = table.read_row_group(group, columns=["image.bytes"]).column("image")
            self._held = (ref.path, group)
        data = (self._images[row].as_py() or {}).get("bytes")
        if not isinstance(data, bytes):
            raise ValueError("the row has no image bytes")
        return data


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    import pyarrow
    from pyarrow import parquet

    with storage.open_read(path) as file:
        try:
            yield parquet.ParquetFile(file)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{path}: the Parquet file is damaged ({reason}); get it again") from error


def _small_columns(table: Any, path: str) -> list[str]:
    """Names the columns to list: the images' paths and the labels, as far as there are any."""
    import pyarrow

    schema = table.schema_arrow
    index = schema.get_field_index("image")
    kind = schema.field(index).type if index >= 0 else None
    if kind is None or not pyarrow.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise UserError(
            f"{path}: expected a column 'image' with 'bytes' and 'path' and a column 'label', as Hugging Face ships "
            f"ImageNet; it has {', '.join(f'{field.name} ({field.type})' for field in schema)}"
        )
    paths = ["image.path"] if kind.get_field_index("path") >= 0 else []
    return paths + (["label"] if schema.get_field_index("label") >= 0 else [])
