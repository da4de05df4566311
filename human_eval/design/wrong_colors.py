"""Obvious fakes: catch trials show them, and so does practice that lacks colorized images."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from coltran.images import colors

_INVERSION = -1.5  # of the chroma: grass turns magenta, skin turns blue
_CAST = 55.0  # so that a photo without colors of its own gets some too; in units of 8-bit chroma
# Toward magenta or green, in the plane of (Cb, Cr): a cast to orange or blue may pass for evening or shade.
_DIRECTIONS = (math.radians(45), math.radians(225))


def wrong_colors(image: np.ndarray, key: str) -> np.ndarray:
    """Returns the image with its own luma (ITU-R BT.601) and obviously wrong colors.

    Args:
      image: uint8 [H, W, 3], RGB.
      key: of the image; decides on the cast.
    Returns:
      uint8 [H, W, 3]; where a color leaves the gamut it is clipped, and luma with it.
    """
    direction = _DIRECTIONS[hashlib.sha256(key.encode()).digest()[0] & 1]
    red, green, blue = np.moveaxis(image.astype(np.float32), -1, 0)
    luma = colors.luma(image)
    blueness = _INVERSION * 0.564 * (blue - luma) + _CAST * math.cos(direction)
    redness = _INVERSION * 0.713 * (red - luma) + _CAST * math.sin(direction)
    red, blue = luma + redness / 0.713, luma + blueness / 0.564
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(np.rint(np.stack([red, green, blue], -1)), 0, 255).astype(np.uint8)
