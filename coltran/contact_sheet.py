"""A table of images as one PNG, for people who would rather look than read."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from coltran.images import repeat_pixels

_GAP = 6
_HEADER = 22
_BACKGROUND = (128, 128, 128)


def contact_sheet(cells: Sequence[Sequence[np.ndarray]], titles: Sequence[str], *, min_side: int = 128) -> bytes:
    """PNG bytes of rows of images under column titles.

    Args:
      cells: rows of uint8 [side, side, 3] images, all of one side.
      titles: one a column.
      min_side: smaller images are enlarged by a whole factor to at least this many pixels a side.
    """
    from PIL import Image, ImageDraw

    side = max(image.shape[0] for row in cells for image in row)
    shown = side * max(1, -(-min_side // side))
    step = shown + _GAP
    picture = Image.new("RGB", (step * len(titles) + _GAP, step * len(cells) + _GAP + _HEADER), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(titles):
        draw.text((_GAP + column * step, 5), title, fill="white", font_size=13)
    for row, images in enumerate(cells):
        for column, image in enumerate(images):
            place = (_GAP + column * step, _HEADER + _GAP + row * step)
            picture.paste(Image.fromarray(repeat_pixels(image, shown, shown)), place)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
