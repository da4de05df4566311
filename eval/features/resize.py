"""Turns uint8 pixels into network input, with the resize to 299 x 299 that a published number was made with.

Tools that call their output "FID" resize differently, and this choice changes the number more than a good model does.
Each `Resize` here describes the whole way from pixels to network input, because tools that differ in the resize also
differ in the normalization:

| name        | as in                    | source position of output pixel i | normalization       |
|-------------|--------------------------|-----------------------------------|---------------------|
| `tf1`       | TF-GAN 1.x, TTUR         | i * scale                         | (x - 128) / 128     |
| `halfpixel` | pytorch-fid              | (i + 0.5) * scale - 0.5           | (x - 127.5) / 127.5 |

Here scale = input size / 299. Both resizes are bilinear without antialiasing. Nothing is rounded between the resize and
the network.
"""

from dataclasses import dataclass

import numpy as np

from coltran.errors import UserError
from eval.features.inception_graph import INPUT_SIZE


@dataclass(frozen=True, kw_only=True)
class Resize:
    """How pixels become network input. A bilinear resize to 299 x 299 comes first, then (x - center) / center."""

    name: str
    half_pixel_centers: bool
    center: float


TF1 = Resize(name="tf1", half_pixel_centers=False, center=128.0)
HALFPIXEL = Resize(name="halfpixel", half_pixel_centers=True, center=127.5)
RESIZES = {resize.name: resize for resize in (TF1, HALFPIXEL)}


def find_resize(name: str) -> Resize:
    """Finds the resize with this name. For an unknown name, it raises a UserError that lists the known ones."""
    if name not in RESIZES:
        raise UserError(f"unknown resize {name!r}: expected one of {', '.join(RESIZES)}")
    return RESIZES[name]


def source_positions(resize: Resize, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Says where the 299 output rows (or columns) of an axis with `size` pixels come from.

    Returns:
      lower: int64 [299], upper: int64 [299], both in 0..size-1, and weight: float32 [299] in [0, 1).
      They mean output = input[lower] + (input[upper] - input[lower]) * weight.
    """
    # All steps are float32, as in TensorFlow's kernel. In float64 some positions fall on the other side of a pixel.
    scale = np.float32(size) / np.float32(INPUT_SIZE)
    index = np.arange(INPUT_SIZE, dtype=np.float32)
    if resize.half_pixel_centers:
        position = (index + np.float32(0.5)) * scale - np.float32(0.5)
    else:
        position = index * scale
    floor = np.floor(position)
    lower = np.clip(floor.astype(np.int64), 0, size - 1)
    upper = np.clip(np.ceil(position).astype(np.int64), 0, size - 1)
    return lower, upper, (position - floor).astype(np.float32)


def resize_to_input(images: np.ndarray, resize: Resize) -> np.ndarray:
    """Resizes images bilinearly in NumPy, before normalization. Engines do the same on their device.

    Args:
      images: [batch, height, width, 3], uint8 or float32, values 0..255.
      resize: decides which positions are read.

    Returns:
      float32 [batch, 299, 299, 3], values 0..255, not rounded.
    """
    pixels = np.asarray(images, np.float32)
    y0, y1, wy = source_positions(resize, pixels.shape[1])
    x0, x1, wx = source_positions(resize, pixels.shape[2])
    wx = wx[None, None, :, None]
    wy = wy[None, :, None, None]
    top, bottom = pixels[:, y0], pixels[:, y1]
    top = top[:, :, x0] + (top[:, :, x1] - top[:, :, x0]) * wx
    bottom = bottom[:, :, x0] + (bottom[:, :, x1] - bottom[:, :, x0]) * wx
    return top + (bottom - top) * wy
