"""The faster decoder gives Pillow's pixels for every ordinary JPEG, and leaves all else to Pillow."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from coltran.images import decoding, jpeg
from coltran.images.decoding import ImageRejected
from tests.conftest import encoded, smooth_photo

pytest.importorskip("simplejpeg")
RNG = np.random.default_rng(5)
KINDS = {
    **{
        f"{subsampling} {'progressive' if progressive else 'baseline'} {quality}": {
            "subsampling": subsampling,
            "progressive": progressive,
            "quality": quality,
        }
        for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:1:1")
        for progressive in (False, True)
        for quality in (20, 97)
    },
    "RGB stored as RGB": {"keep_rgb": True},
    "restart markers": {"restart_marker_blocks": 3},
}


def a_photo(height=75, width=101):
    """Smooth colors with some noise, and sides that are no whole number of blocks."""
    smooth = smooth_photo(1, height, width).astype(int)
    return np.clip(smooth + RNG.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


def by_pillow(monkeypatch, data):
    """What `decode` gives, or why it refuses, where simplejpeg is not installed."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "simplejpeg", None)
        jpeg._library.cache_clear()
        jpeg._is_usable.cache_clear()
        found = outcome(data)
    jpeg._library.cache_clear()
    jpeg._is_usable.cache_clear()
    return found


def outcome(data):
    try:
        photo = decoding.decode(data)
    except ImageRejected as error:
        return error.reason, str(error)
    return photo.rgb.tolist(), photo.grayscale, photo.converted, photo.left_out


@pytest.fixture
def taken(monkeypatch):
    """The sizes of all files that the faster decoder has decoded."""
    found, decode = [], jpeg.pixels
    assert jpeg._is_usable()

    def pixels(data, width, height):
        rgb = decode(data, width, height)
        found.extend([] if rgb is None else [rgb.shape])
        return rgb

    monkeypatch.setattr(jpeg, "pixels", pixels)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_files_have_pillows_pixels(kind, taken):
    data = encoded(a_photo(), **KINDS[kind])
    assert np.array_equal(decoding.decode(data).rgb, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert taken == [(75, 101, 3)]


@pytest.mark.parametrize("side", [8, 9, 15, 16, 17, 33])
def test_small_and_odd_sides(side, taken):
    data = encoded(a_photo(side, 3 * side - 1), subsampling="4:2:0")
    assert np.array_equal(decoding.decode(data).rgb, np.asarray(Image.open(io.BytesIO(data))))
    assert taken


def test_gray_files_and_the_first_picture_of_several(taken):
    gray = encoded(a_photo()[..., 0])
    assert decoding.decode(gray).grayscale
    several = encoded(a_photo(), "MPO", save_all=True, append_images=[Image.fromarray(a_photo(40, 40))])
    for data in (gray, several):
        assert np.array_equal(decoding.decode(data).rgb, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert len(taken) == 3


def test_turned_and_cmyk_files_and_other_formats_are_left_to_pillow(taken):
    turned = Image.Exif()
    turned[0x0112] = 6
    cmyk = io.BytesIO()
    Image.fromarray(a_photo()).convert("CMYK").save(cmyk, "JPEG")
    assert decoding.decode(encoded(a_photo(), exif=turned)).rgb.shape == (101, 75, 3)
    for data in (cmyk.getvalue(), encoded(a_photo(), "PNG")):
        assert decoding.decode(data).rgb.shape == (75, 101, 3)
    assert not taken


def test_damaged_files_end_as_they_do_without_it(monkeypatch):
    """Cut, changed and lengthened files: the same pixels, or the same reason and words."""
    for number in range(60):
        data = bytearray(encoded(a_photo(), subsampling=("4:4:4", "4:2:0")[number % 2], progressive=number % 3 == 0))
        place = int(RNG.integers(2, len(data)))
        match number % 4:
            case 0:
                data = data[:place]
            case 1:
                data[place] ^= int(RNG.integers(1, 256))
            case 2:
                data[place:place] = RNG.bytes(9)
            case 3:
                data += RNG.bytes(50)
        assert outcome(bytes(data)) == by_pillow(monkeypatch, bytes(data)), f"file {number}, place {place}"


def test_a_library_with_other_pixels_is_not_used(monkeypatch):
    """Both libraries decode samples first, so that records never depend on what is installed."""
    other = jpeg.pixels
    monkeypatch.setattr(jpeg, "pixels", lambda *given: other(*given) ^ 1)
    jpeg._is_usable.cache_clear()
    try:
        assert not jpeg._is_usable()
    finally:
        jpeg._is_usable.cache_clear()
