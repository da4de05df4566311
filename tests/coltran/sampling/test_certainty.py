"""Maps of certainty: a color bar from 0 to 1 whatever the values, the photo's proportions, only probabilities."""

import io

import numpy as np
import pytest
from PIL import Image

from coltran.sampling.certainty import certainty_colors, certainty_map


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def share(image: np.ndarray, color) -> float:
    return float((np.abs(image - color).max(axis=-1) <= 2).mean())


VIRIDIS_ENDS = (68, 1, 84), (253, 231, 37)  # of matplotlib's published table


@pytest.mark.parametrize("aspect", [None, 0.01, 0.5, 3, 100])
def test_the_bar_reaches_from_0_to_1_though_the_map_does_not(aspect):
    image = pixels(certainty_map(np.full((8, 8), 0.5, np.float32), aspect=aspect))
    for end in VIRIDIS_ENDS:
        assert 0 < share(image, end) < 0.05


def test_the_map_is_shown_as_the_photo_lies():
    values = np.zeros((4, 4), np.float32)
    values[:2] = 1
    image = pixels(certainty_map(values, aspect=0.5))
    dark = np.abs(image - VIRIDIS_ENDS[0]).max(axis=-1) <= 2
    bright = np.abs(image - VIRIDIS_ENDS[1]).max(axis=-1) <= 2
    left = slice(0, image.shape[1] * 3 // 4)  # without the bar
    assert np.argwhere(bright[:, left])[:, 0].max() < np.argwhere(dark[:, left])[:, 0].min()
    for half in (dark[:, left], bright[:, left]):  # two squares, one above the other
        rows, columns = np.ptp(np.argwhere(half), axis=0)
        assert 0.8 < rows / columns < 1.25


def test_a_title_is_added():
    values = np.full((8, 8), 0.5, np.float32)
    assert not np.array_equal(pixels(certainty_map(values))[:20], pixels(certainty_map(values, title="photo"))[:20])


def test_colors_alone():
    made = certainty_colors(np.array([[0.0, 1.0]], np.float32))
    assert made.dtype == np.uint8
    np.testing.assert_allclose(made, [VIRIDIS_ENDS], atol=1)


@pytest.mark.parametrize("bad", [np.zeros(3), np.full((2, 2), 1.1), np.full((2, 2), -0.1), np.full((2, 2), np.nan)])
def test_only_probabilities(bad):
    for function in (certainty_map, certainty_colors):
        with pytest.raises(ValueError, match=r"in 0\.\.1"):
            function(bad)
