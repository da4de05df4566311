"""Enlarges the networks' colors along the edges of the photo.

The networks give 32x32 to 256x256 pixels of color. Smooth enlargement lets the color of an object run over its edge. So
we take each pixel's color from those pixels of the networks' image that lie near it and are as light as it is: joint
bilateral upsampling (Kopf et al., "Joint Bilateral Upsampling", SIGGRAPH 2007). Then we correct the means, so that no
color of the networks is lost. `benchmarks/enlargement.py` compares methods on photos whose color is known.
"""

from __future__ import annotations

import numpy as np

WORK_SIDE = 512  # Above this many pixels a side the color is enlarged smoothly: eyes see fine detail in luma only.
_TAPS = range(-1, 3)  # pixels around a place, as many as bicubic enlargement reads
_DISTANCE = 0.6  # standard deviation of the weight by distance, in pixels of the networks' image
_LIGHT = 20.0  # standard deviation of the weight by difference of luma, in levels
_LEAST = 1e-6  # weight of every tap, for places that are as light as none of their neighbors


def enlarge(color_hwC: np.ndarray, light_HW: np.ndarray, light_hw: np.ndarray) -> np.ndarray:
    """Enlarges `color_hwC` by a whole factor, along the edges of `light_HW`.

    Args:
      color_hwC: float32 [h, w, C], such as differences of color and luma.
      light_HW: float32 [k * h, k * w], the luma of the same picture, 0..255.
      light_hw: float32 [h, w], the luma of its pixels' areas.

    Returns:
      float32 [k * h, k * w, C]. Its means over blocks of k x k pixels are nearly those of `color_hwC`.
    """
    factor = light_HW.shape[0] // light_hw.shape[0]
    if light_HW.shape != (factor * light_hw.shape[0], factor * light_hw.shape[1]):
        raise ValueError(f"light: {light_HW.shape} is no whole multiple of {light_hw.shape}")
    if factor == 1:
        return color_hwC
    enlarged = _bilateral(color_hwC, light_HW, light_hw)
    lost = color_hwC - _block_means(enlarged, factor)
    return enlarged + smooth(lost, *light_HW.shape)


def work_factor(size: tuple[int, int], photo_size: tuple[int, int]) -> int:
    """Returns the factor k for `enlarge` on a photo: up to the photo's own size, but to WORK_SIDE pixels at most."""
    largest = max(1, WORK_SIDE // max(size))
    needed = max(-(-photo // side) for photo, side in zip(photo_size, size, strict=True))
    return min(largest, needed)


def smooth(image_hwC: np.ndarray, height: int, width: int, rows: tuple[float, float] = (0, 1)) -> np.ndarray:
    """Resizes a float32 image [h, w, C] bicubically; it averages where the image is larger than the result.

    Args:
      image_hwC: float32 [h, w, C].
      height, width: size of the result.
      rows: the part of the image from top (0) to bottom (1) that the result shows, so that strips fit together.

    Returns:
      float32 [height, width, C].
    """
    from PIL import Image

    box = (0, rows[0] * image_hwC.shape[0], image_hwC.shape[1], rows[1] * image_hwC.shape[0])
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in np.moveaxis(image_hwC, -1, 0)]
    resized = [np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC, box)) for plane in planes]
    return np.stack(resized, axis=-1)


def _bilateral(color_hwC: np.ndarray, light_HW: np.ndarray, light_hw: np.ndarray) -> np.ndarray:
    """Computes the mean of the taps, weighted by distance and by difference of luma."""
    rows = [_taps(light_HW.shape[0], light_hw.shape[0], offset) for offset in _TAPS]
    columns = [_taps(light_HW.shape[1], light_hw.shape[1], offset) for offset in _TAPS]
    total = np.zeros(light_HW.shape, np.float32)
    mixed = np.zeros((*light_HW.shape, color_hwC.shape[-1]), np.float32)
    for row, down in rows:
        light_hW, color_hWC = light_hw[row], color_hwC[row]
        for column, across in columns:
            difference = light_HW - light_hW[:, column]
            difference *= difference
            difference *= np.float32(-0.5 / _LIGHT**2)
            weight = np.exp(difference, out=difference)
            weight *= down[:, None] * across
            weight += np.float32(_LEAST)
            total += weight
            mixed += weight[..., None] * color_hWC[:, column]
    return mixed / total[..., None]


def _taps(target: int, source: int, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each of `target` places the source pixel `offset` after the one at or before it, and its weight."""
    place = (np.arange(target) + 0.5) * source / target - 0.5
    pixel = np.floor(place) + offset
    weight = np.exp(-0.5 * ((place - pixel) / _DISTANCE) ** 2).astype(np.float32)
    return pixel.clip(0, source - 1).astype(np.int64), weight


def _block_means(image_HWC: np.ndarray, factor: int) -> np.ndarray:
    height, width = image_HWC.shape[0] // factor, image_HWC.shape[1] // factor
    return image_HWC.reshape(height, factor, width, factor, -1).mean(axis=(1, 3))
