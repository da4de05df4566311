"""Packed pixels come back as they were, always shorter than raw ones, and damaged ones are refused."""

import io

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from coltran.records import pixel_codec
from tests.conftest import smooth_photo

SHAPES = st.sampled_from([(4, 4, 3), (7, 5), (16, 16, 3), (16, 16)])


@pytest.mark.parametrize("encoding", pixel_codec.ENCODINGS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost(encoding, data):
    array = data.draw(arrays.arrays(np.uint8, SHAPES))
    packed = pixel_codec.encode(array, encoding)
    assert len(packed) <= array.nbytes
    np.testing.assert_array_equal(pixel_codec.decode(packed, "uint8", array.shape), array)


@pytest.mark.parametrize("encoding", ["png", "webp"])
@pytest.mark.parametrize("gray", [False, True])
def test_photos_are_packed_by_their_format(encoding, gray):
    photo = smooth_photo(1, 64, 64)[..., 0] if gray else smooth_photo(1, 64, 64)
    packed = pixel_codec.encode(photo, encoding)
    assert len(packed) < photo.nbytes
    assert Image.open(io.BytesIO(packed)).format == encoding.upper()  # any reader of that format gets at it
    np.testing.assert_array_equal(pixel_codec.decode(packed, "uint8", photo.shape), photo)


def test_noise_stays_raw():
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert pixel_codec.encode(noise, "png") == noise.tobytes()


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_damaged_bytes_and_other_shapes_are_refused(encoding):
    packed = pixel_codec.encode(smooth_photo(1, 64, 64), encoding)
    for data, shape in [(packed[: len(packed) // 2], (64, 64, 3)), (packed, (32, 32, 3)), (packed, (64, 64))]:
        with pytest.raises(ValueError):
            pixel_codec.decode(data, "uint8", shape)
    with pytest.raises(ValueError, match="got 5 bytes"):
        pixel_codec.decode(b"12345", "uint8", (64, 64, 3))
