"""What TIFFs need beside Pillow: names for their kinds of pixels, the page that is the photo, ranges of deep gray."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_SUBFILE, _BITS, _PHOTOMETRIC, _SAMPLES, _SAMPLE_FORMAT = 254, 258, 262, 277, 339
ORIENTATION = 274
_REDUCED, _MASK = 1, 4  # bits of a page's subfile type
_WHITE_IS_ZERO = 0
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_COLORS = {0: "gray", 1: "gray", 2: "RGB", 3: "palette color", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "CIELAB"}
_CHANNELS = {"gray": 1, "RGB": 3, "palette color": 1, "mask": 1, "CMYK": 4, "YCbCr": 3, "CIELAB": 3}
_SORTS = {_SIGNED: "signed ", _FLOAT: "float ", 5: "complex ", 6: "complex "}
_MAX_PAGES = 10_000
READABLE = frozenset(
    f"{kind} (TIFF)"
    for kind in ("1-bit gray", "8-bit gray", "16-bit gray", "float 32-bit gray", "8-bit palette color", "8-bit RGB",
                 "16-bit RGB", "8-bit CMYK", "8-bit YCbCr")
)  # fmt: skip
# The largest value of float gray tells its scale: 1 (a little above it after resampling), 255 or 65535.
_FLOAT_SCALES = ((0.0, 1.5, 1.0), (15.0, 255.5, 255.0), (4095.0, 65535.5, 65535.0))


class UnknownRange(ValueError):
    """The values of an image have no range that viewers agree on. The message says which values there are."""


def is_tiff(data: bytes) -> bool:
    """Tells whether a file's bytes begin as a TIFF or BigTIFF does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def kind(data: bytes) -> str | None:
    """Describes the pixels of a TIFF's first page, such as `16-bit gray with alpha (TIFF)`; None if it is damaged."""
    from PIL import TiffImagePlugin

    try:
        file = io.BytesIO(data)
        tags: Any = TiffImagePlugin.ImageFileDirectory_v2(file.read(16 if b"+" in data[2:4] else 8))  # + is BigTIFF
        file.seek(tags.next)
        tags.load(file)
        bits = tuple(int(value) for value in tags.get(_BITS, (1,)))
        photometric, samples = int(tags.get(_PHOTOMETRIC, 1)), int(tags.get(_SAMPLES, 1))
        sample_format = _sample_format(tags)
    except (OSError, SyntaxError, struct.error, ValueError, TypeError, KeyError, IndexError, OverflowError):
        return None
    color = _COLORS.get(photometric, f"color model {photometric}")
    more = samples - _CHANNELS.get(color, samples)
    added = "" if more <= 0 else " with alpha" if more == 1 else f" with {more} more channels"
    depth = str(bits[0]) if len(set(bits)) == 1 else "/".join(map(str, bits))
    return f"{_SORTS.get(sample_format, '')}{depth}-bit {color}{added} (TIFF)"


def seek_photo(image: Image.Image) -> None:
    """Goes to the largest page of an opened TIFF, which is the photo; the others are its thumbnails and masks."""
    pages: list[tuple[bool, int, int]] = []
    for number in range(min(getattr(image, "n_frames", 1), _MAX_PAGES)):
        image.seek(number)
        smaller = bool(int(_tags(image).get(_SUBFILE, 0)) & (_REDUCED | _MASK))
        pages.append((smaller, -image.width * image.height, number))
    image.seek(min(pages)[2])


def check_sample_format(image: Image.Image) -> None:
    """Raises UnknownRange for signed pixels of few bits, which Pillow would take for unsigned ones."""
    if _sample_format(_tags(image)) == _SIGNED and image.mode not in ("I", "I;16S", "F"):
        raise UnknownRange("signed 8-bit pixels")


def deep_gray(image: Image.Image, source: Image.Image) -> np.ndarray:
    """Turns gray of more than 8 bits, of any format, into uint8 [h, w]. Pillow's own conversion clips at 255.

    Args:
      image: the image to turn.
      source: the same as it was opened, whose format and tags say what its values mean.
    Raises:
      UnknownRange: the values may mean anything.
    """
    tags = _tags(source)
    values = np.asarray(image)
    if image.mode == "F":
        gray = _float_gray(values)
    elif source.format == "TIFF":
        gray = _integer_gray(values, int(_first(tags.get(_BITS, 16))), _sample_format(tags))
    else:  # PNG, PGM and JPEG 2000 are scaled to 16 bits by Pillow
        gray = (np.clip(values, 0, 65535).astype(np.uint16) >> 8).astype(np.uint8)
    return 255 - gray if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else gray


def _integer_gray(values: np.ndarray, bits: int, sample_format: int) -> np.ndarray:
    if sample_format == _SIGNED or bits > 16:
        sort = "signed " if sample_format == _SIGNED else ""
        raise UnknownRange(f"{sort}{bits}-bit gray with values from {values.min()} to {values.max()}")
    return (values.astype(np.uint16) >> max(0, bits - 8)).astype(np.uint8)


def _float_gray(values: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)
    low, high = float(values.min()), float(values.max())
    for above, most, scale in _FLOAT_SCALES:
        if above <= high <= most and low >= -0.05 * scale:
            return np.clip(np.rint(values * (255 / scale)), 0, 255).astype(np.uint8)
    raise UnknownRange(f"float gray with values from {low:g} to {high:g}")


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})


def _sample_format(tags: Any) -> int:
    return int(_first(tags.get(_SAMPLE_FORMAT, _UNSIGNED)))


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value
