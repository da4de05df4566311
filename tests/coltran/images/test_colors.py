"""Grayscale and coarse colors against TensorFlow and the public release's numbers."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from coltran.images import colors


def test_gray_equals_tensorflow_on_a_million_random_colors():
    import tensorflow as tf

    rgb = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    expected = tf.image.rgb_to_grayscale(tf.constant(rgb.astype(np.int32))).numpy()[..., 0]
    np.testing.assert_array_equal(colors.rgb_to_gray(rgb), expected)


def test_white_is_254():
    assert colors.rgb_to_gray(np.full((1, 1, 3), 255, np.uint8)).item() == 254


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_coarse_keeps_the_top_three_bits_of_each_channel(color):
    rgb = np.array(color, np.uint8)
    symbol = colors.rgb_to_coarse(rgb)
    assert f"{int(symbol):09b}" == "".join(f"{value:08b}"[:3] for value in color)
    assert colors.coarse_to_rgb(symbol).tolist() == [value // 32 * 32 for value in color]


def test_coarse_to_rgb_refuses_a_513th_color():
    with pytest.raises(ValueError, match=r"0\.\.511"):
        colors.coarse_to_rgb(np.array([3, 512]))


def test_reference(reference_folder):
    names = sorted((reference_folder / "preprocess").glob("*.npz"))
    assert len(names) == 8
    for name in names:
        data = np.load(name)
        for size in (256, 64):
            gray = colors.rgb_to_gray(data[f"rgb_{size}"])
            np.testing.assert_array_equal(gray, data[f"gray_{size}"][..., 0], err_msg=name.stem)
        np.testing.assert_array_equal(colors.rgb_to_coarse(data["rgb_64"]), data["coarse_64"], err_msg=name.stem)
