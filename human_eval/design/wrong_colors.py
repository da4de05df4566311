"""Makes obvious fakes. Catch trials show them, and so does practice if there are too few colorized images."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from coltran.images import colors

_INVERSION = -1.5  # The chroma is inverted: grass turns magenta, and skin turns blue.
_CAST = 55.0  # In units of 8-bit chroma. It gives colors also to a photo without any.
# The cast goes toward magenta or green in the plane of (Cb, Cr). An orange or blue cast may look like evening or shade.
_DIRECTIONS = (math.radians(45), math.radians(225))


def wrong_colors(image: np.ndarray, key: str) -> np.ndarray:
    """Returns the image with its own luma (ITU-R BT.601) and obviously wrong colors.

    Args:
      image: uint8 [H, W, 3], RGB.
      key: key of the image. It decides the cast.

    Returns:
      uint8 [H, W, 3]. A color outside the gamut is clipped, and its luma changes too.
    """
    direction = _DIRECTIONS[hashlib.sha256(key.encode()).digest()[0] & 1]
    red, green, blue = np.moveaxis(image.astype(np.float32), -1, 0)
    luma = colors.luma(image)
    blueness = _INVERSION * 0.564 * (blue - luma) + _CAST * math.cos(direction)
    redness = _INVERSION * 0.713 * (red - luma) + _CAST * math.sin(direction)
    red, blue = luma + redness / 0.713, luma + blueness / 0.564
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(np.rint(np.stack([red, green, blue], -1)), 0, 255).astype(np.uint8)
