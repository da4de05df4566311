"""Crops squares and resizes by area, with the numbers of the public release."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np

from coltran.errors import UserError


def center_crop(image: np.ndarray) -> np.ndarray:
    """Cuts the largest centered square, a view [side, side, ...] of [H, W, ...], at offset floor((side - crop) / 2)."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def random_crop(image: np.ndarray, *, seed: int, key: str, index: int) -> np.ndarray:
    """Cuts a largest square. A hash of (seed, key, index) picks its place, which is the same on every machine.

    Args:
      image: an array [H, W, ...].
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
    """Resizes by area. Each output pixel is the mean over its exact rectangle of the source, with weighted edges.

    It computes in float32 and rounds half to even, as tf.image.resize(method="area") followed by tf.round does.

    Args:
      image: uint8 [H, W, C] or [H, W].
      height, width: output size, above 0; it may be larger or smaller than the input.
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
    """Computes `area_resize` of uint8 [H, W, C], first rows, then columns, each with a sparse matrix of overlaps."""
    rows, row_scale = _overlaps(channels.shape[0], height)
    columns, column_scale = _overlaps(channels.shape[1], width)
    summed = rows @ channels.astype(np.float32).reshape(channels.shape[0], -1)
    turned = _turn(summed.reshape(height, *channels.shape[1:]))
    summed = columns @ turned.reshape(channels.shape[1], -1)
    summed *= np.float32(1.0 / (row_scale * column_scale))
    mean = np.rint(summed, out=summed).astype(np.uint8)
    return _turn(mean.reshape(width, height, -1))


def _turn(pixels: np.ndarray) -> np.ndarray:
    """Turns [H, W, C] into [W, H, C] in C order. Channel by channel is twice as fast as moving pixels of three."""
    turned = np.empty((pixels.shape[1], pixels.shape[0], pixels.shape[2]), pixels.dtype)
    for channel in range(pixels.shape[2]):
        turned[..., channel] = pixels[..., channel].T
    return turned


def _block_mean(channels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Computes `area_resize` of uint8 [H, W, C] for whole factors. Sums of whole pixels are exact in integers."""
    high, wide = channels.shape[0] // height, channels.shape[1] // width
    dtype = np.uint16 if high * wide * 255 < 1 << 16 else np.uint64
    rows = channels[::high].astype(dtype)
    for offset in range(1, high):
        np.add(rows, channels[offset::high], out=rows)
    sums = rows[:, ::wide].copy()
    for offset in range(1, wide):
        np.add(sums, rows[:, offset::wide], out=sums)
    mean = sums.astype(np.float32) * np.float32(1.0 / (high * wide))
    return np.rint(mean, out=mean).astype(np.uint8)


def repeat_pixels(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarges [..., h, w, C] by whole factors to [..., height, width, C]. It repeats each pixel."""
    h, w = image.shape[-3:-1]
    if height % h or width % w:
        raise UserError(f"cannot repeat {h}x{w} pixels to {height}x{width}: not a whole multiple")
    return image.repeat(height // h, axis=-3).repeat(width // w, axis=-2)


@functools.lru_cache(maxsize=64)
def _overlaps(source: int, target: int) -> tuple[Any, float]:
    """Computes how far output and source pixels overlap, as a sparse [target, source] matrix, and source/target.

    ImageNet has few distinct sides, so we keep the matrices. They are sparse, because a row has at most scale + 2
    entries.
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
