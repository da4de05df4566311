"""Opens sampled images in one .npz file, as Guided Diffusion and others write them: `arr_0`, uint8 [count, h, w, 3].

Such a file may be larger than the memory, so its images are read one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from coltran.errors import UserError
from eval.distances import array_file
from eval.distances.array_file import Header
from eval.images.sources import Source

DUMP_KIND = "images in an .npz file"
IMAGES = "arr_0"
_IMAGES_A_CHUNK = 2048  # A compressed file is read from its start for every chunk, so chunks are large.


def is_dump(headers: Mapping[str, Header]) -> bool:
    """Says whether the arrays of a file are a dump of images, and not the statistics of some."""
    return IMAGES in headers and not {"mu", "sigma", "features", "feats"} & set(headers)


def open_dump(path: str, headers: Mapping[str, Header]) -> Source:
    """Opens a dump of images. It reads the whole file once, for its fingerprint, but keeps no pixels.

    Raises:
      UserError: the array is not of images, or the file is damaged.
    """
    header = headers[IMAGES]
    shape = header.shape
    if header.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or header.fortran_order or not all(shape):
        raise UserError(
            f"{path}: array '{IMAGES}': expected images as uint8 [count, height, width, 3], got {header}; "
            "statistics are named 'mu' and 'sigma'"
        )
    digest = hashlib.sha256(str(shape).encode())
    for row in array_file.rows(path, IMAGES):
        digest.update(row)
    names = [f"{number:08d}" for number in range(shape[0])]
    return Source(
        path=path,
        kind=DUMP_KIND,
        size=(shape[1], shape[2]),
        fingerprint=digest.hexdigest(),
        chunks=tuple(tuple(names[start : start + _IMAGES_A_CHUNK]) for start in range(0, len(names), _IMAGES_A_CHUNK)),
    )


def read_dump(source: Source, names: Collection[str]) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yields (name, uint8 [h, w, 3], NaN) for each wanted image of a dump.

    Raises:
      UserError: the file is damaged.
    """
    numbers = {int(name.removeprefix(source.prefix)): name for name in names}
    last = max(numbers, default=-1)
    for number, row in enumerate(array_file.rows(source.path, IMAGES)):
        if number in numbers:
            yield numbers[number], np.frombuffer(row, np.uint8).reshape(*source.size, 3), np.nan
        if number == last:
            return
