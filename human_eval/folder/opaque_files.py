"""Makes image files of which only the pixels can tell which one is real.

Names are HMACs with the study's secret. All files come from one encoder, without metadata. The two files of a trial are
padded to the same length.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import struct
import zlib

import numpy as np

ROLES = ("truth", "colorized")
_CHUNK_OVERHEAD = 12
_END_CHUNK = 12
# This chunk is ancillary, private and safe to copy (PNG specification 1.2, section 3.3), so decoders skip it.
PADDING_CHUNK = b"paDd"


def opaque_name(secret: bytes, trial: int, role: str) -> str:
    """Returns the file name of one image of one trial. Two trials never share a name, even with the same truth."""
    return hmac.new(secret, f"{trial}|{role}".encode(), hashlib.sha256).hexdigest()[:24] + ".png"


def encode_pair(truth: np.ndarray, colorized: np.ndarray) -> tuple[bytes, bytes]:
    """Encodes both images of a trial as PNG files of equal length.

    Args:
      truth, colorized: uint8 [H, W, 3] of the same shape.

    Raises:
      ValueError: the shapes differ.
    """
    if truth.shape != colorized.shape:
        raise ValueError(f"the truth is {list(truth.shape)}, the colorization {list(colorized.shape)}")
    return pad_pair(encode(truth), encode(colorized))


def encode(image: np.ndarray) -> bytes:
    """Encodes a uint8 [H, W, 3] image as a PNG file without metadata."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=False, compress_level=6)
    return buffer.getvalue()


def decode(file: bytes) -> np.ndarray:
    """Decodes the pixels of a PNG file to uint8 [H, W, 3]."""
    from PIL import Image

    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image)


def pad_pair(first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """Adds a chunk of zeros before the end of each PNG file, so that both files have the same length."""
    length = max(len(first), len(second)) + _CHUNK_OVERHEAD
    return _pad(first, length), _pad(second, length)


def _pad(file: bytes, length: int) -> bytes:
    filling = bytes(length - len(file) - _CHUNK_OVERHEAD)
    crc = zlib.crc32(PADDING_CHUNK + filling)
    chunk = struct.pack(">I", len(filling)) + PADDING_CHUNK + filling + struct.pack(">I", crc)
    return file[:-_END_CHUNK] + chunk + file[-_END_CHUNK:]
