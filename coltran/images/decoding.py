"""Decodes photos to upright RGB pixels and rejects unusable files.

Pillow decodes JPEGs with libjpeg's accurate DCT. The release's TensorFlow decoder used the fast one. The two differ by
about 1 level of 255 on average.
"""

from __future__ import annotations

import dataclasses
import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from coltran.images import color_profiles, jpeg, tiff
from coltran.images.formats import known_formats, unsupported_kind

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
MIN_SIDE = 8
_PAGED = {"TIFF": "pages", "GIF": "frames", "WEBP": "frames", "PNG": "frames", "AVIF": "frames", "HEIF": "images"}
_CANNOT = re.compile(r"not available|not supported|unsupported|unknown|unrecognized|cannot handle", re.IGNORECASE)
# How the pixels must be turned for each EXIF orientation, as names of PIL.Image.Transpose.
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


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
      left_out: how many further pages of a TIFF, or frames of an animation, the file has.
      note: names what is left out for people, such as `page 2 of 3, the largest one`; empty if nothing is.
    """

    rgb: np.ndarray
    grayscale: bool
    converted: bool = False
    left_out: int = 0
    note: str = ""


def decode(
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    min_side: int = MIN_SIDE,
    profiles: bool = True,
    over_white: bool = True,
) -> Photo:
    """Decodes an image of one of `formats.FORMATS`, which its content shows.

    It decodes the largest page of a TIFF, and the first frame of an animation.

    Args:
      data: the file's bytes.
      max_pixels: larger images are rejected before they are decoded.
      min_side: images with a shorter side below this are rejected.
      profiles: whether to convert to sRGB by the embedded color profile; False gives the release's pixels.
      over_white: whether to lay pixels that are not opaque over white; False takes their colors as they are.
    Raises:
      ImageRejected: the reason is `empty_file`, `not_an_image`, `unsupported`, `truncated`, `too_small` or `too_large`.
    """
    image = _open(data)
    left_out, note = _choose_page(image)
    width, height = image.size
    if width * height > max_pixels:
        raise ImageRejected("too_large", f"{width}x{height} pixels, above --max_pixels={max_pixels}")
    if min(width, height) < min_side:
        raise ImageRejected("too_small", f"{width}x{height} pixels, the shorter side must be >= {min_side}")
    try:
        rgb, converted = _pixels(image, data, profiles, over_white)
    except tiff.UnknownRange as error:
        raise ImageRejected("unsupported", f"{error}; save it with 8 or 16 unsigned bits") from error
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        if _CANNOT.search(str(error)):
            raise ImageRejected("unsupported", f"{unsupported_kind(data) or image.format}: {error}") from error
        raise ImageRejected("truncated", f"{image.format} data is cut or damaged: {error}") from error
    grayscale = _has_no_color(rgb[::16, ::16]) and _has_no_color(rgb)  # mostly a few pixels are enough
    return Photo(rgb=rgb, grayscale=grayscale, converted=converted, left_out=left_out, note=note)


def _open(data: bytes) -> Image.Image:
    """Opens an image by its content. Raises ImageRejected if it has none of the known formats."""
    from PIL import Image, ImageFile, UnidentifiedImageError

    if not data:
        raise ImageRejected("empty_file", "the file is empty")
    Image.MAX_IMAGE_PIXELS = None  # our own limit names the image and says what to do
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        return Image.open(io.BytesIO(data), formats=known_formats())
    except UnidentifiedImageError as error:
        if kind := unsupported_kind(data):
            raise ImageRejected("unsupported", f"{kind} cannot be decoded") from error
        if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n")) or tiff.is_tiff(data):
            raise ImageRejected("truncated", f"only {len(data)} bytes of a JPEG, PNG or TIFF") from error
        start = "text" if _looks_like_text(data) else f"bytes {data[:4].hex()}"
        raise ImageRejected("not_an_image", f"no known image format (it starts with {start})") from error
    except Exception as error:
        if isinstance(error, KeyError) and tiff.is_tiff(data):
            kind = unsupported_kind(data) or "TIFF"
            raise ImageRejected("unsupported", f"{kind} packed by method {error}; save it with LZW") from error
        raise ImageRejected("truncated", f"damaged image header: {error}") from error


def _choose_page(image: Image.Image) -> tuple[int, str]:
    """Goes to the page that is the photo. Returns how many others there are, and a note that names them."""
    if image.format not in _PAGED:
        return 0, ""
    try:
        count = getattr(image, "n_frames", 1)
        if count > 1 and image.format == "TIFF":
            tiff.seek_photo(image)
    except Exception:  # what comes after the first page is damaged
        image.seek(0)
        return 1, "the first page; what follows it is damaged"
    if count == 1:
        return 0, ""
    which = f"{_PAGED[image.format].removesuffix('s')} {image.tell() + 1} of {count}"
    return count - 1, which + (", the largest one" if image.format == "TIFF" else "")


def _pixels(image: Image.Image, data: bytes, profiles: bool, over_white: bool) -> tuple[np.ndarray, bool]:
    """Returns an opened image's pixels, uint8 [h, w, 3], and whether they were converted by a color profile."""
    if jpeg.is_ordinary(image) and _orientation(image) not in _TURNS:
        changes = profiles and color_profiles.needs_conversion(image)
        rgb = None if changes else jpeg.pixels(data, image.width, image.height)
        if rgb is not None:
            return rgb, False
    upright = _upright(image)
    converted = color_profiles.to_srgb(upright) if profiles else None
    return _to_rgb(upright if converted is None else converted, image, over_white), converted is not None


def _upright(image: Image.Image) -> Image.Image:
    """Loads an image and turns it upright by its EXIF orientation.

    Pillow's `exif_transpose` also writes the EXIF anew, and fails if it cannot; but nobody needs it any more.
    """
    from PIL import Image

    if image.format == "TIFF":
        opened: Any = image
        opened.load_end = lambda: None  # it would call `exif_transpose`
        opened.load()
        opened._size = opened.im.size
    else:
        image.load()
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(Image.Transpose[turn])


def _orientation(image: Image.Image) -> int:
    """Reads the orientation, 1 to 8, in whatever type it is stored; 1 if there is none."""
    try:
        tags: Any = getattr(image, "tag_v2", None) or image.getexif()
        value = tags.get(tiff.ORIENTATION)
        if isinstance(value, tuple):
            value = value[0]
        return int(value[0] if isinstance(value, bytes) and value[:1] < b"0" else value or 1)
    except Exception:  # damaged EXIF says nothing, and must not cost the photo
        return 1


def _has_no_color(rgb: np.ndarray) -> bool:
    return bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all())


def _to_rgb(image: Image.Image, source: Image.Image, over_white: bool) -> np.ndarray:
    """Returns uint8 [h, w, 3] of an upright image; `source` is the same image as its file has it."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(tiff.deep_gray(image, source)[..., None], 3, axis=-1)
    tiff.check_sample_format(source)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered) if over_white else layered
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _looks_like_text(data: bytes) -> bool:
    return all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:64])
