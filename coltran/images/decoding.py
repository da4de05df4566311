"""Decodes photos to upright RGB pixels and rejects unusable files.

Pillow decodes JPEGs with libjpeg's accurate DCT. The release's TensorFlow decoder used the fast one. The two differ by
about 1 level of 255 on average.
"""

from __future__ import annotations

import dataclasses
import functools
import io
from typing import TYPE_CHECKING

import numpy as np

from coltran.images import color_profiles

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
MIN_SIDE = 8
# Only formats made of pixels are allowed. Pillow would hand an EPS file to Ghostscript, which runs programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "ICO")


class ImageRejected(Exception):
    """An input is not a usable image. `reason` is a stable word for counting, and the message is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageRejected], tuple[str, str]]:
        return type(self), (self.reason, str(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photo:
    """A decoded image.

    Attributes:
      rgb: uint8 [height, width, 3], upright (EXIF orientation applied), alpha laid over white.
      grayscale: whether no pixel has any color, whatever the file's mode.
      converted: whether an embedded color profile was applied.
    """

    rgb: np.ndarray
    grayscale: bool
    converted: bool = False


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, min_side: int = MIN_SIDE, profiles: bool = True) -> Photo:
    """Decodes an image of one of FORMATS, which its content shows. From an animation it decodes the first frame.

    Args:
      data: the file's bytes.
      max_pixels: larger images are rejected before they are decoded.
      min_side: images with a shorter side below this are rejected.
      profiles: whether to convert to sRGB by the embedded color profile; False gives the release's pixels.
    Raises:
      ImageRejected: the reason is `empty_file`, `not_an_image`, `truncated`, `too_small` or `too_large`.
    """
    from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

    if not data:
        raise ImageRejected("empty_file", "the file is empty")
    Image.MAX_IMAGE_PIXELS = None  # our own limit below names the image and says what to do
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image = Image.open(io.BytesIO(data), formats=_known_formats())
    except UnidentifiedImageError as error:
        if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n")):
            raise ImageRejected("truncated", f"only {len(data)} bytes of a JPEG or PNG") from error
        start = "text" if _looks_like_text(data) else f"bytes {data[:4].hex()}"
        raise ImageRejected("not_an_image", f"no known image format (it starts with {start})") from error
    except Exception as error:
        raise ImageRejected("truncated", f"damaged image header: {error}") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageRejected("too_large", f"{width}x{height} pixels, above --max_pixels={max_pixels}")
    if min(width, height) < min_side:
        raise ImageRejected("too_small", f"{width}x{height} pixels, the shorter side must be >= {min_side}")
    try:
        ImageOps.exif_transpose(image, in_place=True)
        converted = color_profiles.to_srgb(image) if profiles else None
        rgb = _to_rgb(image if converted is None else converted)
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        raise ImageRejected("truncated", f"{image.format} data is cut or damaged: {error}") from error
    grayscale = _has_no_color(rgb[::16, ::16]) and _has_no_color(rgb)  # mostly a few pixels are enough
    return Photo(rgb=rgb, grayscale=grayscale, converted=converted is not None)


def _has_no_color(rgb: np.ndarray) -> bool:
    return bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all())


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """Lists the FORMATS that this machine's Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _to_rgb(image: Image.Image) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_deep_gray(image)[..., None], 3, axis=-1)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _deep_gray(image: Image.Image) -> np.ndarray:
    """Turns 16-bit (and float) gray into 8 bits. Pillow's own conversion would clip everything above 255 to white."""
    values = np.nan_to_num(np.asarray(image))
    if image.mode == "F":
        return np.clip(np.rint(values * (255 if values.max() <= 1 else 1)), 0, 255).astype(np.uint8)
    return (np.clip(values, 0, 65535).astype(np.uint16) >> 8).astype(np.uint8)


def _looks_like_text(data: bytes) -> bool:
    return all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:64])
