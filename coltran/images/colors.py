"""Computes grayscale and the 512 coarse colors with the public release's numbers, and luma as JPEG defines it.

The release's weights were trained on inputs from exactly these formulas, so we keep every bit of them.
"""

from __future__ import annotations

import numpy as np

NUM_COARSE_COLORS = 512
COARSE_BITS = 5  # a coarse level is the value without its 5 lowest bits
# float32 weights. Summed from left to right, they equal tf.image.rgb_to_grayscale on all 2**24 colors.
_GRAY_WEIGHTS = np.array([0.2989, 0.587, 0.114], np.float32)
# BT.601, as in JPEG's YCbCr. Unlike the networks' weights (0.2989), they sum to 1, so that a gray level stays itself.
LUMA_WEIGHTS = (0.299, 0.587, 0.114)


def rgb_to_gray(rgb: np.ndarray) -> np.ndarray:
    """Computes the luma of an image, truncated, as tf.image.rgb_to_grayscale does for int32 images.

    Args:
      rgb: uint8 [..., 3] in 0..255.
    Returns:
      uint8 [...] in 0..254. The weights sum to 0.9999, so a gray pixel v > 0 becomes v - 1.
    """
    _expect_rgb(rgb)
    red, green, blue = _GRAY_WEIGHTS
    luma = rgb[..., 0].astype(np.float32)
    luma *= red
    for channel, weight in ((1, green), (2, blue)):
        weighted = rgb[..., channel].astype(np.float32)
        weighted *= weight
        luma += weighted
    return luma.astype(np.uint8)


def rgb_to_coarse(rgb: np.ndarray) -> np.ndarray:
    """Computes each pixel's coarse color, which joins the top 3 bits of each channel in a symbol (paper, section 3).

    Args:
      rgb: uint8 [..., 3] in 0..255.
    Returns:
      uint16 [...] in 0..511, 64 r + 8 g + b.
    """
    _expect_rgb(rgb)
    bins = (rgb >> COARSE_BITS).astype(np.uint16)
    return bins[..., 0] * 64 + bins[..., 1] * 8 + bins[..., 2]


def coarse_to_rgb(coarse: np.ndarray) -> np.ndarray:
    """Turns coarse colors into the lowest values of their bins, on which the color upsampler is trained.

    Args:
      coarse: integers [...] in 0..511.
    Returns:
      uint8 [..., 3], each channel a multiple of 32 in 0..224.
    Raises:
      ValueError: a symbol lies outside 0..511.
    """
    coarse = np.asarray(coarse)
    if coarse.size and (coarse.min() < 0 or coarse.max() >= NUM_COARSE_COLORS):
        raise ValueError(f"coarse: expected symbols in 0..511, got {coarse.min()}..{coarse.max()}")
    bins = np.stack([coarse // 64, coarse // 8 % 8, coarse % 8], axis=-1)
    return (bins << COARSE_BITS).astype(np.uint8)


def _expect_rgb(array: np.ndarray) -> None:
    if array.dtype != np.uint8 or array.shape[-1:] != (3,):
        raise ValueError(f"rgb: expected uint8 [..., 3], got {array.dtype} {list(array.shape)}")


def luma(rgb: np.ndarray) -> np.ndarray:
    """Computes the Y of JPEG's YCbCr without rounding, from uint8 [..., 3] to float32 [...] in 0..255."""
    return rgb.astype(np.float32) @ np.array(LUMA_WEIGHTS, np.float32)


def chroma(rgb: np.ndarray) -> np.ndarray:
    """Computes color minus luma, from uint8 [..., 3] to float32 [..., 3]; 0 for gray."""
    return rgb - luma(rgb)[..., None]
