"""A photo of any size to the gray images that the networks see, and their colors back onto the photo.

The networks color a small square. Of what they make only the color is kept, enlarged to the photo's size; light and
dark, and with them every detail, stay the photo's own.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from coltran.images import colors, geometry
from coltran.images.colors import luma

FITS = ("squeeze", "pad")
_STRIP_PIXELS = 1 << 20  # recolored at once: float images of a whole scan would not fit in memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrayInputs:
    """What the networks see of one photo.

    Attributes:
      lo: uint8 [h, w], for the colorizer and the color upsampler.
      hi: uint8 [H, W], for the spatial upsampler; None where there is none.
      box: (left, top, right, bottom) of the photo within the larger of the two, in its pixels; the rest is padding.
    """

    lo: np.ndarray
    hi: np.ndarray | None
    box: tuple[int, int, int, int]

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Cuts the photo's part from an image [h, w, ...] that covers all of the inputs, at any resolution; a view.

        Where the edge of the photo cuts a pixel, that pixel belongs to it.
        """
        height, width = (self.lo if self.hi is None else self.hi).shape
        left, top, right, bottom = self.box
        rows = slice(top * image.shape[0] // height, -(-bottom * image.shape[0] // height))
        columns = slice(left * image.shape[1] // width, -(-right * image.shape[1] // width))
        return image[rows, columns]


def gray_inputs(rgb: np.ndarray, size: tuple[int, int], size_hi: tuple[int, int] | None, fit: str) -> GrayInputs:
    """Makes the networks' gray images of a photo, as coltran-preprocess makes those of training.

    Area resize and rounding to the high resolution, area resize of that to the low one, then grayscale of each.

    Args:
      rgb: uint8 [height, width, 3], any size of at least one pixel; its color does not go beyond its luma.
      size: (h, w) of the low resolution.
      size_hi: (H, W) of the high resolution, or None.
      fit: `squeeze` stretches the photo to the whole square; `pad` keeps its proportions, and mirrors the photo into
        what is left at two sides.
    """
    fitted, box = _fit(rgb, size_hi or size, fit)
    lo = geometry.area_resize(fitted, *size)
    hi = None if size_hi is None else colors.rgb_to_gray(fitted)
    return GrayInputs(lo=colors.rgb_to_gray(lo), hi=hi, box=box)


def _fit(rgb: np.ndarray, size: tuple[int, int], fit: str) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    if fit not in FITS:
        raise ValueError(f"fit: expected one of {FITS}, got '{fit}'")
    height, width = size
    if fit == "squeeze":
        return geometry.area_resize(rgb, height, width), (0, 0, width, height)
    scale = min(height / rgb.shape[0], width / rgb.shape[1])
    rows, columns = (max(1, round(side * scale)) for side in rgb.shape[:2])
    top, left = (height - rows) // 2, (width - columns) // 2
    margins = ((top, height - rows - top), (left, width - columns - left), (0, 0))
    # Mirrored rather than filled: a hard edge would be an object to color.
    padded = np.pad(geometry.area_resize(rgb, rows, columns), margins, mode="symmetric")
    return padded, (left, top, left + columns, top + rows)


def recolor(photo_rgb: np.ndarray, color_rgb: np.ndarray) -> np.ndarray:
    """Combines the photo's luma with another image's color.

    The color is carried over in YCbCr rather than in Lab, because luma, a weighted sum of the stored values, is what
    the networks were given and trained against. Cb and Cr being linear in RGB, YCbCr's way back comes down to adding
    `rgb - luma(rgb)` of the one to the luma of the other. Where that would leave 0..255, the color is made paler (its
    hue stays) rather than clipped, so that the luma is the photo's everywhere.

    Args:
      photo_rgb: uint8 [H, W, 3].
      color_rgb: uint8 [h, w, 3], of the same picture at any resolution.
    Returns:
      uint8 [H, W, 3]; its `luma` is that of the photo, within the 0.5 of rounding.
    """
    from PIL import Image

    height, width = photo_rgb.shape[:2]
    # Bicubic: color that changes smoothly; it also averages where the photo is smaller than the networks' square.
    enlarged = np.asarray(Image.fromarray(color_rgb).resize((width, height), Image.Resampling.BICUBIC))
    result = np.empty((height, width, 3), np.uint8)
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        strip = slice(top, top + step)
        result[strip] = _recolor_strip(photo_rgb[strip], enlarged[strip])
    return result


def _recolor_strip(photo_rgb: np.ndarray, color_rgb: np.ndarray) -> np.ndarray:
    light = luma(photo_rgb)[..., None]
    chroma = color_rgb - luma(color_rgb)[..., None]
    room = np.where(chroma > 0, 255 - light, light)
    share = (room / np.maximum(np.abs(chroma), 1e-3)).min(axis=-1, keepdims=True)
    mixed = light + chroma * np.minimum(share, 1)
    return np.rint(mixed).clip(0, 255).astype(np.uint8)
