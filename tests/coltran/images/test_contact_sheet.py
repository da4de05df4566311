"""The table of images: every cell at its place, unchanged or enlarged, whatever the proportions."""

import io

import numpy as np
from PIL import Image

from coltran.images.contact_sheet import contact_sheet, thumbnail
from tests.conftest import smooth_photo


def test_cells_of_several_sizes_stand_apart_and_whole():
    rows = [[smooth_photo(1, 100, 130), smooth_photo(2, 60, 40)], [smooth_photo(3, 130, 20), smooth_photo(4, 1, 130)]]
    png = contact_sheet(rows, ["one", "two"], captions=["a" * 10, "b"])
    sheet = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    tops = []
    for image in (image for row in rows for image in row):
        windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], image.shape[:2])
        (place,) = np.argwhere((windows == image[..., 0]).all(axis=(2, 3)))
        tops.append(tuple(place))
    assert tops[0][0] == tops[1][0] < tops[2][0] == tops[3][0]
    assert tops[2][0] >= tops[0][0] + 100 + 12  # the caption is between
    assert tops[1][1] == tops[3][1] >= 130
    assert sheet.shape[0] >= tops[2][0] + 130 + 12


def test_thumbnails_keep_proportions_down_to_one_pixel():
    assert thumbnail(smooth_photo(1, 300, 600), 256).shape == (128, 256, 3)
    assert thumbnail(smooth_photo(1, 30, 10), 256).shape == (256, 85, 3)
    assert thumbnail(smooth_photo(1, 1, 2000), 256).shape == (1, 256, 3)
    cell = thumbnail(np.array([[[0] * 3, [255] * 3]], np.uint8), 64, (30, 60))
    assert cell.shape == (32, 64, 3)
    assert (cell[:, :32] == 0).all()
    assert (cell[:, 32:] == 255).all()
