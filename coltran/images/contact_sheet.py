"""Draws a table of images as one PNG, for people who prefer looking to reading."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from coltran.images.geometry import repeat_pixels

_GAP = 6
_HEADER = 22
_CAPTION = 16
_BACKGROUND = (128, 128, 128)


def contact_sheet(
    cells: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    *,
    min_side: int = 128,
    captions: Sequence[str] | None = None,
) -> bytes:
    """Draws rows of images under column titles, and returns a PNG file's bytes.

    Args:
      cells: rows of uint8 [h, w, 3] images of any sizes; a row is as high as its highest image, and all columns are
        as wide as the widest image of all.
      titles: one for each column.
      min_side: if the longest side of all images is below this, a whole factor enlarges all of them to at least this.
      captions: one for each row, written below it.
    """
    from PIL import Image, ImageDraw

    factor = max(1, -(-min_side // max(max(image.shape[:2]) for row in cells for image in row)))
    step = factor * max(image.shape[1] for row in cells for image in row) + _GAP
    heights = [factor * max(image.shape[0] for image in row) + _GAP + (_CAPTION if captions else 0) for row in cells]
    picture = Image.new("RGB", (step * len(titles) + _GAP, _HEADER + _GAP + sum(heights)), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(titles):
        draw.text((_GAP + column * step, 5), title, fill="white", font_size=13)
    top = _HEADER + _GAP
    for row, (images, height) in enumerate(zip(cells, heights, strict=True)):
        for column, image in enumerate(images):
            shown = repeat_pixels(image, factor * image.shape[0], factor * image.shape[1])
            picture.paste(Image.fromarray(shown), (_GAP + column * step, top))
        if captions:
            draw.text((_GAP, top + height - _CAPTION - _GAP + 1), captions[row], fill="white", font_size=11)
        top += height
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def thumbnail(image: np.ndarray, side: int, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Resizes uint8 [H, W, 3] to a cell of the sheet, uint8 [h, w, 3], at least 1x1, whose longer side is `side`.

    Args:
      image: an image of any size, also a smaller one.
      side: the longer side in pixels.
      shape: (height, width) that gives the proportions, for a map whose coarse pixels stay visible; by default the
        image's own, and then it is enlarged smoothly.
    """
    from PIL import Image

    method = Image.Resampling.BICUBIC if shape is None else Image.Resampling.BOX
    shape = shape or image.shape[:2]
    height, width = (max(1, round(length * side / max(shape))) for length in shape)
    return np.asarray(Image.fromarray(image).resize((width, height), method))
