"""Color that follows the photo's edges, and is all of the networks' color."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from coltran.images import geometry
from coltran.images.colors import luma
from coltran.photos import enlarge, recolor
from tests.conftest import smooth_photo


def disk(side: int, center: tuple[float, float], radius: float) -> np.ndarray:
    """A red disk on dark green: an edge of luma that is also one of color, wherever the networks' pixels lie."""
    rows, columns = np.mgrid[:side, :side] + 0.5
    inside = np.hypot(rows - center[0], columns - center[1]) < radius
    return np.where(inside[..., None], np.array([230, 150, 140]), np.array([20, 70, 30])).astype(np.uint8)


def color_error(made: np.ndarray, truth: np.ndarray) -> float:
    chroma = [image - luma(image)[..., None] for image in (made, truth)]
    return float(np.sqrt(np.mean((chroma[0] - chroma[1]) ** 2)))


@settings(max_examples=20, deadline=None)
@given(row=st.floats(60, 130), column=st.floats(60, 130), radius=st.floats(25, 55), low=st.sampled_from([16, 24, 32]))
def test_color_stops_at_an_edge_of_light(row, column, radius, low):
    """Against smooth enlargement of the same true colors: less than half of the error."""
    truth = disk(192, (row, column), radius)
    gray = np.repeat(np.rint(luma(truth)).astype(np.uint8)[..., None], 3, axis=-1)
    color = geometry.area_resize(truth, low, low)
    smooth = enlarge.smooth(color - luma(color)[..., None], 192, 192) + luma(gray)[..., None]
    followed = color_error(recolor.recolor(gray, color), truth)
    assert followed < 0.5 * color_error(smooth, truth)


def test_without_edges_color_changes_smoothly():
    """A flat photo says nothing about edges, so neighbors differ by little more than bicubic enlargement's do."""
    color = smooth_photo(1, 16, 16).astype(np.float32)
    flat, flat_low = np.full((256, 256), 90, np.float32), np.full((16, 16), 90, np.float32)
    made, bicubic = enlarge.enlarge(color, flat, flat_low), enlarge.smooth(color, 256, 256)
    assert np.abs(made - bicubic).max() < 0.2 * np.ptp(color)
    assert np.abs(np.diff(made, axis=0)).max() < 2 * np.abs(np.diff(bicubic, axis=0)).max()


@pytest.mark.parametrize(("height", "width", "factor"), [(32, 32, 16), (12, 31, 5), (1, 1, 8), (2, 3, 2)])
def test_the_means_are_the_networks_colors(height, width, factor):
    rng = np.random.default_rng(1)
    color = rng.normal(0, 30, (height, width, 3)).astype(np.float32)
    light = rng.uniform(0, 255, (factor * height, factor * width)).astype(np.float32)
    low = light.reshape(height, factor, width, factor).mean(axis=(1, 3))
    made = enlarge.enlarge(color, light, low)
    means = made.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
    smooth = enlarge.smooth(color, *light.shape).reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
    assert np.abs(means - color).mean() <= np.abs(smooth - color).mean() + 1e-4


@pytest.mark.parametrize(
    ("size", "photo", "factor"),
    [
        ((32, 32), (3000, 4000), 16),
        ((32, 32), (40, 100), 4),
        ((32, 32), (20, 20), 1),
        ((256, 256), (4000, 4000), 2),
        ((1000, 1000), (4000, 4000), 1),
    ],
)
def test_work_stays_small_on_large_photos(size, photo, factor):
    assert enlarge.work_factor(size, photo) == factor


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="whole multiple"):
        enlarge.enlarge(np.zeros((4, 4, 3)), np.zeros((9, 8)), np.zeros((4, 4)))
