"""Photos to the networks' inputs, and colors back: what the networks saw in training, and the photo's own luma."""

import io

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from coltran.images import encoding
from coltran.photos import recolor
from coltran.records import schema
from tests.conftest import smooth_photo


def y_of(rgb: np.ndarray) -> np.ndarray:
    """BT.601 luma in float64."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    return 0.299 * red + 0.587 * green + 0.114 * blue


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    color_side=st.integers(1, 20),
    extreme=st.booleans(),
)
def test_luma_is_the_photos_everywhere(seed, height, width, color_side, extreme):
    """Also of pure noise, and where the color would not fit between black and white."""
    rng = np.random.default_rng(seed)
    levels = np.array([0, 255] if extreme else range(256), np.uint8)
    photo = rng.choice(levels, (height, width, 3))
    color = rng.choice(levels, (color_side, color_side, 3))
    made = recolor.recolor(photo, color)
    assert (made.dtype, made.shape) == (np.uint8, photo.shape)
    assert np.abs(y_of(made) - y_of(photo)).max() <= 0.5 + 1e-3


def test_a_gray_photo_keeps_its_levels_in_pillows_eyes_too():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = recolor.recolor(np.repeat(gray[..., None], 3, axis=-1), smooth_photo(1, 8, 8))
    assert np.abs(np.asarray(Image.fromarray(made).convert("L")).astype(int) - gray).max() <= 1
    np.testing.assert_array_equal(made[0, 0], [0, 0, 0])
    np.testing.assert_array_equal(made[15, 15], [255, 255, 255])
    assert np.ptp(made.astype(int), axis=-1).max() > 20  # and there is color


def test_a_photo_with_its_own_color_is_itself():
    photo = smooth_photo(2, 50, 70)
    np.testing.assert_array_equal(recolor.recolor(photo, photo), photo)


@pytest.mark.parametrize("color", [(200, 40, 40), (30, 60, 220), (90, 160, 20)])
def test_a_plain_color_is_found_again_on_gray_of_its_luma(color):
    plain = np.full((4, 4, 3), color, np.uint8)
    gray = np.full((30, 20, 3), round(float(y_of(plain)[0, 0])), np.uint8)
    assert np.abs(recolor.recolor(gray, plain).astype(int) - color).max() <= 1


def test_a_color_that_does_not_fit_gets_paler_and_keeps_its_hue():
    bright = np.full((2, 2, 3), 240, np.uint8)
    made = recolor.recolor(bright, np.full((2, 2, 3), (255, 0, 0), np.uint8))[0, 0].astype(int)
    assert made[0] == 255
    assert made[1] == made[2] < 240


def test_strips_leave_no_seams(monkeypatch):
    photo, color = smooth_photo(3, 61, 37), smooth_photo(4, 9, 9)
    whole = recolor.recolor(photo, color)
    monkeypatch.setattr(recolor, "_STRIP_PIXELS", 100)
    np.testing.assert_array_equal(recolor.recolor(photo, color), whole)


@pytest.mark.parametrize("fit", recolor.FITS)
@pytest.mark.parametrize("hi", [32, None])
@pytest.mark.parametrize("side", [16, 20, 97, 128])
def test_a_square_photo_gives_the_grays_of_preprocessing(side, hi, fit):
    from coltran.images.decoding import Photo
    from pipelines.truth import record as truth_record
    from pipelines.truth.arguments import Options

    rgb = smooth_photo(side, side, side)
    options = Options(source="", out="", hi=hi, lo=16, crop="center")
    truth = truth_record.truth_values(Photo(rgb=rgb, grayscale=False), options, key="", label=-1)
    gray = recolor.gray_inputs(rgb, (16, 16), hi and (hi, hi), fit)
    np.testing.assert_array_equal(gray.lo, truth[schema.GRAY_LO])
    if hi:
        np.testing.assert_array_equal(gray.hi, truth[schema.GRAY_HI])
    else:
        assert gray.hi is None
    assert gray.box == (0, 0, hi or 16, hi or 16)


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (50, 120), (400, 64), (1, 1), (16, 15), (97, 135)])
def test_padding_keeps_proportions_and_is_cut_off_again(shape):
    rgb = smooth_photo(5, *shape)
    gray = recolor.gray_inputs(rgb, (16, 16), (64, 64), "pad")
    left, top, right, bottom = gray.box
    assert max(right - left, bottom - top) == 64
    assert abs((right - left) - 64 * shape[1] / max(shape)) <= 1
    assert abs((bottom - top) - 64 * shape[0] / max(shape)) <= 1
    assert abs(left - (64 - right)) <= 1
    assert abs(top - (64 - bottom)) <= 1
    model = np.full((64, 64, 3), (0, 0, 255), np.uint8)
    model[top:bottom, left:right] = (255, 0, 0)
    made = recolor.recolor(np.full((*shape, 3), 100, np.uint8), gray.crop(model)).astype(int)
    assert made.shape[:2] == shape
    assert (made[..., 0] > made[..., 2] + 50).all()  # nothing of the margin's blue


def test_margins_mirror_the_photo():
    rgb = smooth_photo(6, 32, 64)
    hi = recolor.gray_inputs(rgb, (16, 16), (64, 64), "pad").hi
    np.testing.assert_array_equal(hi[:16], hi[16:32][::-1])
    np.testing.assert_array_equal(hi[48:], hi[32:48][::-1])


def test_a_map_of_any_resolution_is_cut_to_the_photo():
    gray = recolor.gray_inputs(smooth_photo(7, 32, 64), (16, 16), (64, 64), "pad")
    rows = np.arange(16)[:, None].repeat(16, axis=1)
    np.testing.assert_array_equal(gray.crop(rows)[:, 0], range(4, 12))
    assert gray.crop(np.zeros((3, 3))).shape == (3, 3)  # a pixel that the edge cuts is the photo's


def test_left_stays_left_and_up_stays_up():
    model = np.full((8, 8, 3), 128, np.uint8)
    model[:, :4, 0] = 255
    model[:4, :, 2] = 255
    made = recolor.recolor(np.full((30, 100, 3), 128, np.uint8), model).astype(int)
    redness, blueness = made[..., 0] - made[..., 1], made[..., 2] - made[..., 1]
    assert redness[:, :30].min() > redness[:, 70:].max() + 20
    assert blueness[:10].min() > blueness[20:].max() + 20


def test_files_hold_what_was_given():
    rgb = smooth_photo(8, 40, 60)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encoding.encode(rgb, "png")))), rgb)
    jpeg = Image.open(io.BytesIO(encoding.encode(rgb, "jpeg")))
    assert jpeg.format == "JPEG"
    assert np.abs(np.asarray(jpeg).astype(int) - rgb).mean() < 3
