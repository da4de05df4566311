"""Image files from which nothing but the pixels tells which one is real.

Names are HMACs with the study's secret; all files come from one encoder, without metadata; the two files of a trial
are padded to one length.
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
# Ancillary, private, safe to copy (PNG specification 1.2, section 3.3): decoders pass over it.
_PADDING_CHUNK = b"paDd"


def opaque_name(secret: bytes, trial: int, role: str) -> str:
    """File name of one image of one trial; a name is never used for two trials, even for the same truth."""
    return hmac.new(secret, f"{trial}|{role}".encode(), hashlib.sha256).hexdigest()[:24] + ".png"


def encode_pair(truth: np.ndarray, colorized: np.ndarray) -> tuple[bytes, bytes]:
    """Two PNG files of equal length.

    Args:
      truth, colorized: uint8 [H, W, 3] of one shape.
    Raises:
      ValueError: shapes differ.
    """
    if truth.shape != colorized.shape:
        raise ValueError(f"the truth is {list(truth.shape)}, the colorization {list(colorized.shape)}")
    files = [_encode(truth), _encode(colorized)]
    length = max(map(len, files)) + _CHUNK_OVERHEAD
    first, second = (_pad(file, length) for file in files)
    return first, second


def _encode(image: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=False, compress_level=6)
    return buffer.getvalue()


def _pad(file: bytes, length: int) -> bytes:
    filling = bytes(length - len(file) - _CHUNK_OVERHEAD)
    crc = zlib.crc32(_PADDING_CHUNK + filling)
    chunk = struct.pack(">I", len(filling)) + _PADDING_CHUNK + filling + struct.pack(">I", crc)
    return file[:-_END_CHUNK] + chunk + file[-_END_CHUNK:]
