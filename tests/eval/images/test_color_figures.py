"""Colorfulness and diversity, with values computed by hand."""

import numpy as np
import pytest

from coltran.errors import UserError
from eval.images.color_figures import colorfulness, diversity


def _image(*pixels) -> np.ndarray:
    return np.array([pixels], np.uint8)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        # rg = 255, yb = 127.5, no spread.
        ([(255, 0, 0)] * 4, 0.3 * np.hypot(255, 127.5)),
        # rg = 0, yb = -200.
        ([(0, 0, 200)], 0.3 * 200),
        # rg = 100 and -100, yb = 50 twice: spread 100, mean (0, 50).
        ([(100, 0, 0), (0, 100, 0)], 100 + 0.3 * 50),
        # rg = 40 and 0, yb = -60 and 20: spreads 20 and 40, means 20 and -20.
        ([(40, 0, 80), (20, 20, 0)], np.hypot(20, 40) + 0.3 * np.hypot(20, 20)),
    ],
)
def test_colorfulness_by_hand(pixels, expected):
    assert colorfulness(_image(*pixels)) == pytest.approx(expected, rel=1e-12)


def test_gray_is_not_colorful():
    gray = np.random.default_rng(1).integers(0, 256, (8, 9, 1), np.uint8)
    assert colorfulness(np.repeat(gray, 3, axis=2)) == 0


def test_less_saturated_is_less_colorful():
    vivid = np.random.default_rng(2).integers(0, 256, (16, 16, 3), np.uint8)
    pale = (128 + (vivid.astype(int) - 128) // 2).astype(np.uint8)
    assert colorfulness(pale) == pytest.approx(colorfulness(vivid) / 2, rel=0.02)


def test_diversity_by_hand():
    first, second, third = _image((0, 0, 0), (0, 0, 0)), _image((255, 0, 0), (0, 0, 0)), _image((3, 3, 3), (3, 3, 3))
    pair = 255 / np.sqrt(6)
    assert diversity([first, second]) == pytest.approx(pair)
    assert diversity([first, third]) == pytest.approx(3)
    assert diversity([third, first]) == pytest.approx(3)
    second_third = np.sqrt((252**2 + 5 * 9) / 6)
    assert diversity([first, second, third]) == pytest.approx((pair + 3 + second_third) / 3)
    assert diversity([second, second]) == 0


def test_one_sample_has_no_diversity():
    assert diversity([_image((1, 2, 3))]) is None
    assert diversity([]) is None


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.float32), np.zeros((0, 2, 3), "u1")]
)
def test_other_arrays_are_refused(bad):
    for measure in (colorfulness, lambda image: diversity([image])):
        with pytest.raises(UserError, match="uint8 image of shape"):
            measure(bad)


def test_samples_of_two_sizes_are_refused():
    with pytest.raises(UserError, match=r"samples of one size, got \(1, 1, 3\) and \(1, 2, 3\)"):
        diversity([_image((1, 2, 3)), _image((1, 2, 3), (1, 2, 3))])
