"""Measures how colorful an image is, and how much the samples of one image differ.

FID shows neither. A timid colorizer and one that always paints the same can both score well.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from coltran.errors import UserError


def colorfulness(image: np.ndarray) -> float:
    """Measures how colorful an image looks by the metric M3 of Hasler and Suesstrunk ("Measuring
    colourfulness in natural images", 2003).

    With rg = R - G and yb = (R + G) / 2 - B, the metric is the spread of both over the pixels, plus 0.3 times the
    length of their mean. In the paper's experiment, people called 15 slightly, 45 averagely and 82 highly colorful.

    Args:
      image: uint8 [height, width, 3].

    Returns:
      A number >= 0; 0 for a gray image.

    Raises:
      UserError: the image is empty or not RGB.
    """
    _expect_rgb(image)
    red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue]).reshape(2, -1)
    spread = np.sqrt(opponents.var(axis=1).sum())
    offset = np.sqrt((opponents.mean(axis=1) ** 2).sum())
    return float(spread + 0.3 * offset)


def diversity(samples: Sequence[np.ndarray]) -> float | None:
    """Measures how much the colorizations of one image differ.

    Args:
      samples: colorizations of one image, each uint8 [height, width, 3].

    Returns:
      The root mean square difference over pixels and channels, in levels 0..255, averaged over the pairs of samples.
      It is 0 if all samples are the same, and None for fewer than two samples.

    Raises:
      UserError: the samples are not RGB images of one size.
    """
    for sample in samples:
        _expect_rgb(sample)
        if sample.shape != samples[0].shape:
            raise UserError(f"expected samples of one size, got {samples[0].shape} and {sample.shape}")
    if len(samples) < 2:
        return None
    levels = [sample.astype(np.float64) for sample in samples]  # uint8 differences would wrap around
    return float(np.mean([np.sqrt(np.mean((a - b) ** 2)) for a, b in itertools.combinations(levels, 2)]))


def _expect_rgb(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise UserError(f"expected a uint8 image of shape [height, width, 3], got {image.dtype} {image.shape}")
