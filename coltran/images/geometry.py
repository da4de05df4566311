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
    source_height, source_width, depth = channels.shape
    rows, row_scale = _overlaps(source_height, height)
    columns, column_scale = _overlaps(source_width, width)
    summed = rows @ channels.reshape(source_height, -1).astype(np.float32)
    turned = np.ascontiguousarray(summed.T)  # [W C, H]: a product with `columns` sums over the first axis
    summed = columns @ turned.reshape(source_width, -1)
    summed *= np.float32(1.0 / (row_scale * column_scale))
    mean = np.rint(summed, out=summed).astype(np.uint8)
    return np.ascontiguousarray(mean.reshape(width * depth, height).T).reshape(height, width, depth)


def _block_mean(channels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Computes `area_resize` of uint8 [H, W, C] for whole factors. Sums of whole pixels are exact in integers."""
    high, wide, depth = channels.shape[0] // height, channels.shape[1] // width, channels.shape[2]
    dtype = np.uint16 if high * wide * 255 < 1 << 16 else np.uint64
    rows = np.add.reduce(channels.reshape(height, high, -1), axis=1, dtype=dtype)
    turned = np.ascontiguousarray(rows.reshape(-1, wide * depth).T)  # so that long rows are added, not single pixels
    mean = np.add.reduce(turned.reshape(wide, -1), axis=0, dtype=dtype).astype(np.float32)
    mean *= np.float32(1.0 / (high * wide))
    mean = np.rint(mean, out=mean).astype(np.uint8)
    return np.ascontiguousarray(mean.reshape(depth, -1).T).reshape(height, width, depth)


def repeat_pixels(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarges [..., h, w, C] by whole factors to [..., height, width, C]. It repeats each pixel."""
    h, w = image.shape[-3:-1]
    if height % h or width % w:
        raise UserError(f"cannot repeat {h}x{w} pixels to {height}x{width}: not a whole multiple")
    return image.repeat(height // h, axis=-3).repeat(width // w, axis=-2)


@functools.lru_cache(maxsize=512)
def _overlaps(source: int, target: int) -> tuple[Any, float]:
    """Computes how far output and source pixels overlap, as a sparse [target, source] matrix, and source/target.

    480 photos of ImageNet have 155 distinct shorter sides, so we keep many matrices, of some 10 kB each. They are
    sparse, because a row has at most scale + 2 entries.
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
