"""Stores pixels of the high resolution as bytes in a record, either raw or packed without loss as PNG or WebP.

A packed value is always shorter than the raw one, because noise that cannot be packed stays raw. So the length shows
which of the two it is, and no record needs to say so.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

RAW = "raw"
ENCODINGS = (RAW, "png", "webp")
# These are the quickest of all levels and methods. On photos, the slower ones give files at most 5% smaller.
_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 1, "compress_type": 3},  # 3: zlib's run-length strategy
    "webp": {"format": "WEBP", "lossless": True, "method": 0, "quality": 0},
}


def encode(array: np.ndarray, encoding: str = RAW) -> bytes:
    """Encodes an array as bytes.

    Args:
      array: any dtype and shape for `raw`; uint8 [H, W] or [H, W, 3] for `png` and `webp`.
      encoding: one of ENCODINGS.
    """
    raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    if encoding == RAW:
        return raw
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, **_OPTIONS[encoding])
    return buffer.getvalue() if buffer.tell() < len(raw) else raw


def decode(data: bytes, dtype: str, shape: Sequence[int]) -> np.ndarray:
    """Turns bytes from `encode` back into a read-only array of `dtype` and the dimensions [*shape].

    Raises:
      ValueError: the bytes do not hold such an array.
    """
    stored = np.dtype(dtype).newbyteorder("<")
    if len(data) == math.prod(shape) * stored.itemsize:
        return np.frombuffer(data, stored).reshape(shape)
    if not data.startswith((b"\x89PNG", b"RIFF")):
        raise ValueError(f"expected {dtype} {list(shape)}, got {len(data)} bytes")
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "WEBP")) as image:
            if image.size != (shape[1], shape[0]):
                raise ValueError(f"expected {dtype} {list(shape)}, got an image of {image.size[0]}x{image.size[1]}")
            array = np.array(image)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"the packed pixels are damaged: {error}") from error
    if array.ndim > len(shape) and (array == array[..., :1]).all():  # WebP has no gray, only three equal channels
        array = array[..., 0]
    if array.shape != tuple(shape):
        raise ValueError(f"expected {dtype} {list(shape)}, got {array.dtype} {list(array.shape)}")
    array.flags.writeable = False
    return array
