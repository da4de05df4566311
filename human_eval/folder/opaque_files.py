"""Makes image files of which only the pixels can tell which one is real.

Names are HMACs with the study's key of names. A file that raters may see is an uncompressed PNG of twice the height:
each row of the photo has a row of random bytes above it, and is stored as its difference from that row (PNG's filter
`Up`, modulo 256). So every byte of the image data is uniformly random, whatever the photo is. All files of a study have
one length, also after a web server's gzip or brotli, and no two files share bytes. Still any PNG decoder reads the
photo exactly, and the rater page draws every second row.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import struct
import zlib

import numpy as np

ROLES = ("truth", "colorized")
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NO_FILTER, _UP = 0, 2  # These are filter types of the PNG specification (section 9.2).
_RGB = 2


def opaque_name(secret: bytes, trial: int, role: str) -> str:
    """Returns the file name of one image of one trial. Two trials never share a name, even with the same truth."""
    return hmac.new(secret, f"{trial}|{role}".encode(), hashlib.sha256).hexdigest()[:24] + ".png"


def names_of(secret: bytes, trial: int) -> tuple[str, str]:
    """Returns the file names of a trial's truth and colorization."""
    truth, colorized = (opaque_name(secret, trial, role) for role in ROLES)
    return truth, colorized


def encode(image: np.ndarray) -> bytes:
    """Encodes a uint8 [H, W, 3] image as an ordinary PNG file, for files that no rater sees."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=False, compress_level=1)
    return buffer.getvalue()


def encode_public(image: np.ndarray, secret: bytes, name: str) -> bytes:
    """Encodes an image as the file that raters may see.

    Args:
      image: uint8 [H, W, 3].
      secret: the study's key of names. The random bytes come from it and from the name, so that a design that runs
        again gives the same bytes.
      name: the file's name.

    Returns:
      A PNG file of 2 H x W pixels. Its length depends on H and W alone.
    """
    height, width, channels = image.shape
    size = height * width * channels
    noise = np.frombuffer(hashlib.shake_256(b"noise|" + secret + name.encode()).digest(size), np.uint8)
    rows = np.empty((height, 2, 1 + width * channels), np.uint8)
    rows[:, 0, 0], rows[:, 1, 0] = _NO_FILTER, _UP
    rows[:, 0, 1:] = noise.reshape(height, -1)
    rows[:, 1, 1:] = np.ascontiguousarray(image).reshape(height, -1) - rows[:, 0, 1:]
    header = struct.pack(">IIBBBBB", width, 2 * height, 8, _RGB, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 0)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def decode(file: bytes) -> np.ndarray:
    """Decodes the photo in a file of either kind to uint8 [H, W, 3]. Photos of a study are square."""
    from PIL import Image

    with Image.open(io.BytesIO(file)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels[1::2] if pixels.shape[0] == 2 * pixels.shape[1] else pixels
