"""Turns a photo of any size into the networks' gray images, and puts their colors back onto the photo.

The networks color a small square. We keep only the color of their result and enlarge it along the photo's edges to the
photo's size. Light and dark, and with them every detail, stay the photo's own.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from coltran.images import colors, geometry
from coltran.images.colors import luma
from coltran.photos import enlarge

FITS = ("squeeze", "pad")
_STRIP_PIXELS = 1 << 20  # pixels to recolor at once, because float images of a whole scan would not fit in memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrayInputs:
    """What the networks see of one photo.

    Attributes:
      lo: uint8 [h, w], for the colorizer and the color upsampler.
      hi: uint8 [H, W], for the spatial upsampler; None without one.
      box: (left, top, right, bottom) of the photo within the larger of the two, in its pixels; the rest is padding.
    """

    lo: np.ndarray
    hi: np.ndarray | None
    box: tuple[int, int, int, int]

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Cuts the photo's part, as a view, from an image [h, w, ...] of any resolution that covers all of the inputs.

        If the edge of the photo cuts a pixel, that pixel belongs to the photo.
        """
        height, width = (self.lo if self.hi is None else self.hi).shape
        left, top, right, bottom = self.box
        rows = slice(top * image.shape[0] // height, -(-bottom * image.shape[0] // height))
        columns = slice(left * image.shape[1] // width, -(-right * image.shape[1] // width))
        return image[rows, columns]


def gray_inputs(rgb: np.ndarray, size: tuple[int, int], size_hi: tuple[int, int] | None, fit: str) -> GrayInputs:
    """Makes the networks' gray images of a photo, as coltran-preprocess makes the training images.

    It resizes by area to the high resolution and rounds, resizes that by area to the low one, then makes each gray.

    Args:
      rgb: uint8 [height, width, 3], any size of at least one pixel; its color has no effect beyond its luma.
      size: (h, w) of the low resolution.
      size_hi: (H, W) of the high resolution, or None.
      fit: `squeeze` stretches the photo to the whole square; `pad` keeps its proportions, and mirrors the photo into
        the space that is left at two sides.
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
    # We mirror the photo and do not fill the space, because the networks would color a hard edge as an object.
    padded = np.pad(geometry.area_resize(rgb, rows, columns), margins, mode="symmetric")
    return padded, (left, top, left + columns, top + rows)


def recolor(photo_rgb: np.ndarray, color_rgb: np.ndarray) -> np.ndarray:
    """Combines the photo's luma with another image's color.

    The color is carried over in YCbCr rather than in Lab, because luma, a weighted sum of the stored values, is what
    the networks were given and trained against. Cb and Cr are linear in RGB, so the way back from YCbCr just adds
    `rgb - luma(rgb)` of one image to the luma of the other. If the sum would leave 0..255, the color becomes paler (its
    hue stays) and is not clipped, so that the luma is the photo's everywhere.

    Args:
      photo_rgb: uint8 [H, W, 3].
      color_rgb: uint8 [h, w, 3], of the same picture at any resolution.
    Returns:
      uint8 [H, W, 3]; its `luma` equals the photo's, within the rounding error of 0.5.
    """
    height, width = photo_rgb.shape[:2]
    chroma = enlarged_chroma(photo_rgb, color_rgb)
    result = np.empty((height, width, 3), np.uint8)
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        rows = (top / height, bottom / height)
        result[top:bottom] = _recolor_strip(photo_rgb[top:bottom], enlarge.smooth(chroma, bottom - top, width, rows))
    return result


def enlarged_chroma(photo_rgb: np.ndarray, color_rgb: np.ndarray) -> np.ndarray:
    """Computes color minus luma, enlarged along the photo's edges to about its size, or to WORK_SIDE if it is larger.

    Args:
      photo_rgb: uint8 [H, W, 3], of which only the luma counts.
      color_rgb: uint8 [h, w, 3], of the same picture.

    Returns:
      float32 [k * h, k * w, 3] with a whole factor k.
    """
    low = color_rgb.shape[:2]
    factor = enlarge.work_factor(low, photo_rgb.shape[:2])
    light, light_low = (luma(geometry.area_resize(photo_rgb, k * low[0], k * low[1])) for k in (factor, 1))
    return enlarge.enlarge(colors.chroma(color_rgb), light, light_low)


def _recolor_strip(photo_rgb: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    light = luma(photo_rgb)
    share = np.ones_like(light)
    for plane in np.moveaxis(chroma, -1, 0):  # a minimum over the last axis takes numpy twice as long
        room = np.where(plane > 0, 255 - light, light)
        np.minimum(share, room / np.maximum(np.abs(plane), 1e-3), out=share)
    mixed = light[..., None] + chroma * share[..., None]
    return np.rint(mixed).clip(0, 255).astype(np.uint8)
