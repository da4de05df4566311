"""Measures and reads photos of any size: the middle square of each, at one side, lossless from then on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.images import decoding, geometry

ENDS = (".png", ".jpg", ".jpeg")
_PNG_MODES = ("RGB", "L", "P")
_TURNED = (5, 6, 7, 8)  # These EXIF orientations swap width and height.
_ORIENTATION = 0x0112


def measure(path: str, files: Sequence[tuple[str, int]]) -> tuple[str, dict[str, tuple[int, int]]]:
    """Returns a digest of names and contents, and the (width, height) of each file as it is seen.

    On Cloud Storage, where reading all is slow, the digest covers names and lengths, and the first file stands for all.

    Args:
      path: the folder.
      files: (name, length) of each file.
    """
    digest = hashlib.sha256(repr(list(files)).encode())
    if storage.is_gcs(path):
        size = _size(path, files[0][0], storage.read_bytes(storage.join(path, files[0][0])))
        return digest.hexdigest(), {name: size for name, _ in files}
    sizes: dict[str, tuple[int, int]] = {}
    for name, _ in files:
        data = storage.read_bytes(storage.join(path, name))
        digest.update(hashlib.sha256(data).digest())
        sizes[name] = _size(path, name, data)
    return digest.hexdigest(), sizes


def _size(path: str, file: str, data: bytes) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image:
            turned = image.format == "JPEG" and image.getexif().get(_ORIENTATION) in _TURNED
            return (image.height, image.width) if turned else image.size
    except UnidentifiedImageError:
        raise UserError(f"{storage.join(path, file)}: is no PNG or JPEG file") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{storage.join(path, file)}: is no whole PNG or JPEG file ({error})") from None


def read(path: str, file: str, side: int) -> np.ndarray:
    """Reads a photo as uint8 [side, side, 3]."""
    name = storage.join(path, file)
    data = storage.read_bytes(name)
    image = _png(name, data) if data.startswith(b"\x89PNG") else _jpeg(name, data)
    square = geometry.center_crop(image)
    if square.shape[0] < side:
        raise UserError(f"{name}: is {image.shape[1]}x{image.shape[0]}; all images of a study are {side}x{side}")
    return square if square.shape[0] == side else geometry.area_resize(square, side, side)


def _png(name: str, data: bytes) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode not in _PNG_MODES or "transparency" in image.info:
                raise UserError(f"{name}: is a PNG of mode {image.mode}; save it as 8-bit RGB without transparency")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{name}: is no whole PNG file ({error})") from None


def _jpeg(name: str, data: bytes) -> np.ndarray:
    try:
        return decoding.decode(data, min_side=1).rgb
    except decoding.ImageRejected as error:
        raise UserError(f"{name}: cannot be read ({error})") from None
