"""Decodes ordinary JPEGs without Pillow's copies of the pixels, to the same pixels, in two thirds of the time.

Pillow and simplejpeg both bring libjpeg-turbo, whose accurate DCT gives the same numbers in every version. Whatever is
not ordinary is left to Pillow: no simplejpeg, a Pillow with another library, damaged data, CMYK.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_MODES = ("RGB", "L")


def is_ordinary(image: Image.Image) -> bool:
    """Tells whether `pixels` may decode an image that Pillow has opened, by its header."""
    return image.format in ("JPEG", "MPO") and image.mode in _MODES and _is_usable()


def pixels(data: bytes, width: int, height: int) -> np.ndarray | None:
    """Decodes an ordinary JPEG, of an MPO the first picture.

    Args:
      data: the whole file.
      width, height: its size as Pillow knows it.
    Returns:
      uint8 [height, width, 3] as the file has it, not turned. None after any warning or another size, because Pillow
      decides what is too damaged.
    """
    try:
        if _library().decode_jpeg_header(data)[:2] != (height, width):
            return None
        return _library().decode_jpeg(data, "RGB", fastdct=False, fastupsample=False, strict=True)
    except ValueError:
        return None


@functools.cache
def _library() -> Any:
    """Imports simplejpeg. Returns None if it is not installed, because the pixels are the same without it."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


@functools.cache
def _is_usable() -> bool:
    """Tells whether both libraries decode small samples to the same pixels here, with each kind of subsampling."""
    from PIL import Image, features

    if _library() is None or not features.check_feature("libjpeg_turbo"):
        return False
    noise = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(noise[:5, :7]).resize((51, 37), Image.Resampling.BICUBIC))
    for sample in (noise, smooth):
        for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
            file = io.BytesIO()
            Image.fromarray(sample).save(file, "JPEG", subsampling=subsampling, quality=85)
            mine = pixels(file.getvalue(), 51, 37)
            if mine is None or not np.array_equal(mine, np.asarray(Image.open(file))):
                return False
    return True
