"""Turns pixels into the bytes of a picture file."""

from __future__ import annotations

import io

import numpy as np

FORMATS = {"png": "png", "jpeg": "jpg"}  # {format: file suffix}
MAX_JPEG_SIDE = 65_500  # libjpeg's limit
_JPEG_QUALITY = 95


def encode(rgb: np.ndarray, format: str) -> bytes:
    """Encodes uint8 [H, W, 3] as an image file of one of FORMATS. JPEGs have full color resolution."""
    from PIL import Image

    buffer = io.BytesIO()
    options = {"quality": _JPEG_QUALITY, "subsampling": 0} if format == "jpeg" else {}
    Image.fromarray(rgb).save(buffer, format.upper(), **options)
    return buffer.getvalue()
