"""Photos in: decoding, square crops and area resizing, with the numbers of the public release.

JPEGs are decoded with libjpeg's accurate DCT (Pillow); the release's TensorFlow decoder used the fast one, and the two
differ by about 1 level of 255 on average.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io

import numpy as np

from coltran.errors import UserError
from coltran.images import color_profiles

MAX_PIXELS = 100_000_000
MIN_SIDE = 8
# What is no picture of pixels stays out: Pillow would hand an EPS file to Ghostscript, which runs programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "ICO")


class ImageRejected(Exception):
    """An input that is no usable image. `reason` is a stable word for counting, the message is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self):
        return type(self), (self.reason, str(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photo:
    """A decoded image.

    Attributes:
      rgb: uint8 [height, width, 3], upright (EXIF orientation applied), alpha laid over white.
      grayscale: True where no pixel has any color, whatever the file's mode.
      converted: True where an embedded color profile was applied.
    """

    rgb: np.ndarray
    grayscale: bool
    converted: bool = False


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, min_side: int = MIN_SIDE, profiles: bool = True) -> Photo:
    """Decodes an image of one of FORMATS, by its content, whatever its name; the first frame of an animation.

    Args:
      data: the file's bytes.
      max_pixels: larger images are rejected before they are decoded.
      min_side: images with a shorter side below this are rejected.
      profiles: convert to sRGB by the embedded color profile; False for the release's pixels.
    Raises:
      ImageRejected: with the reason `empty_file`, `not_an_image`, `truncated`, `too_small` or `too_large`.
    """
    from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

    if not data:
        raise ImageRejected("empty_file", "the file is empty")
    Image.MAX_IMAGE_PIXELS = None  # our own limit below says which image and what to do
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
    grayscale = _has_no_color(rgb[::16, ::16]) and _has_no_color(rgb)  # a few pixels mostly tell
    return Photo(rgb=rgb, grayscale=grayscale, converted=converted is not None)


def _has_no_color(rgb: np.ndarray) -> bool:
    return bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all())


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """Those of FORMATS that this machine's Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _to_rgb(image) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_deep_gray(image)[..., None], 3, axis=-1)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _deep_gray(image) -> np.ndarray:
    """16-bit (and float) gray to 8 bits; Pillow's own conversion would clip everything above 255 to white."""
    values = np.nan_to_num(np.asarray(image))
    if image.mode == "F":
        return np.clip(np.rint(values * (255 if values.max() <= 1 else 1)), 0, 255).astype(np.uint8)
    return (np.clip(values, 0, 65535).astype(np.uint16) >> 8).astype(np.uint8)


def _looks_like_text(data: bytes) -> bool:
    return all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:64])


def center_crop(image: np.ndarray) -> np.ndarray:
    """The largest centered square, offset floor((side - crop) / 2): a view [side, side, ...] of [H, W, ...]."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def random_crop(image: np.ndarray, *, seed: int, key: str, index: int) -> np.ndarray:
    """A largest square at a place that a hash of (seed, key, index) picks, the same on every machine.

    Args:
      image: [H, W, ...].
      seed, key, index: the job's seed, the record's key, and which crop of the image this is (from 0).
    Returns:
      A view [side, side, ...] with side = min(H, W).
    """
    height, width = image.shape[:2]
    side = min(height, width)
    digest = hashlib.sha256(f"crop|{seed}|{key}|{index}".encode()).digest()
    offset = int.from_bytes(digest[:8], "big") % (max(height, width) - side + 1)
    top, left = (offset, 0) if height > width else (0, offset)
    return image[top : top + side, left : left + side]


def area_resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mean over each output pixel's exact rectangle of the source, fractional edges weighted.

    Computed in float32 and rounded half to even, as tf.image.resize(method="area") followed by tf.round.

    Args:
      image: uint8 [H, W, C] or [H, W].
      height, width: output size, above 0; larger or smaller than the input.
    Returns:
      uint8 [height, width, C] or [height, width].
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"image: expected uint8 [H, W] or [H, W, C], got {image.dtype} {list(image.shape)}")
    if image.shape[:2] == (height, width):
        return image.copy()
    channels = image.reshape(image.shape[0], image.shape[1], -1)
    if image.shape[0] % height or image.shape[1] % width:
        resized = _area_mean(channels, height, width)
    else:
        resized = _block_mean(channels, height, width)
    return resized.reshape(height, width, *image.shape[2:])


def _area_mean(channels: np.ndarray, height: int, width: int) -> np.ndarray:
    """`area_resize` of uint8 [H, W, C]: rows first, then columns, each by a sparse matrix of overlaps."""
    rows, row_scale = _overlaps(channels.shape[0], height)
    columns, column_scale = _overlaps(channels.shape[1], width)
    summed = rows @ channels.astype(np.float32).reshape(channels.shape[0], -1)
    turned = _turn(summed.reshape(height, *channels.shape[1:]))
    summed = columns @ turned.reshape(channels.shape[1], -1)
    summed *= np.float32(1.0 / (row_scale * column_scale))
    mean = np.rint(summed, out=summed).astype(np.uint8)
    return _turn(mean.reshape(width, height, -1))


def _turn(pixels: np.ndarray) -> np.ndarray:
    """[H, W, C] to [W, H, C] in C order; channel by channel, which is twice as fast as moving pixels of three."""
    turned = np.empty((pixels.shape[1], pixels.shape[0], pixels.shape[2]), pixels.dtype)
    for channel in range(pixels.shape[2]):
        turned[..., channel] = pixels[..., channel].T
    return turned


def _block_mean(channels: np.ndarray, height: int, width: int) -> np.ndarray:
    """`area_resize` of uint8 [H, W, C] by whole factors: sums of whole pixels, exact in integers."""
    high, wide = channels.shape[0] // height, channels.shape[1] // width
    dtype = np.uint16 if high * wide * 255 < 1 << 16 else np.uint64
    rows = channels[::high].astype(dtype)
    for offset in range(1, high):
        rows += channels[offset::high]
    sums = rows[:, ::wide].copy()
    for offset in range(1, wide):
        sums += rows[:, offset::wide]
    mean = sums.astype(np.float32) * np.float32(1.0 / (high * wide))
    return np.rint(mean, out=mean).astype(np.uint8)


def repeat_pixels(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Area upsampling by whole factors: [..., h, w, C] to [..., height, width, C], each pixel repeated."""
    h, w = image.shape[-3:-1]
    if height % h or width % w:
        raise UserError(f"cannot repeat {h}x{w} pixels to {height}x{width}: not a whole multiple")
    return image.repeat(height // h, axis=-3).repeat(width // w, axis=-2)


@functools.lru_cache(maxsize=64)
def _overlaps(source: int, target: int):
    """Sparse [target, source] lengths of overlap between output and source pixels, and source/target.

    ImageNet has few distinct sides, so the matrices are kept; sparse, because a row has scale + 2 entries at most.
    """
    from scipy import sparse

    scale = source / target
    edges = np.arange(target + 1) * scale
    first = np.floor(edges[:-1]).astype(np.int64)
    last = np.minimum(np.ceil(edges[1:]).astype(np.int64), source)
    counts = last - first
    output = np.repeat(np.arange(target), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    pixel = first[output] + within
    overlap = np.minimum(pixel + 1, edges[output + 1]) - np.maximum(pixel, edges[output])
    matrix = sparse.csr_matrix((overlap.astype(np.float32), (output, pixel)), shape=(target, source))
    return matrix, scale
