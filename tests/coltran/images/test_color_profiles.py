"""Embedded color profiles: applied as a viewer does, left alone where there is nothing to apply."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from coltran.images import decoding
from tests.conftest import smooth_photo


def profile_with_primaries(red: tuple, green: tuple, blue: tuple, gamma: float) -> bytes:
    """A matrix profile written byte by byte from the ICC specification: colorants (PCS XYZ, D50) and one gamma."""

    def fixed(value: float) -> bytes:
        return round(value * 65536).to_bytes(4, "big", signed=True)

    def xyz(values: tuple) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    curve = b"curv\0\0\0\0\0\0\0\1" + round(gamma * 256).to_bytes(2, "big") + b"\0\0"
    name = b"wide\0"
    text = b"desc\0\0\0\0" + len(name).to_bytes(4, "big") + name + bytes(78)
    tags = {
        b"desc": text,
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        **{b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue)},
        **{b"rTRC": curve, b"gTRC": curve, b"bTRC": curve},
    }
    table, body, offset = len(tags).to_bytes(4, "big"), b"", 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + (offset + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    head = bytearray(128)
    head[0:4] = (offset + len(body)).to_bytes(4, "big")
    head[8:12], head[12:24], head[36:40] = b"\x02\x40\0\0", b"mntrRGB XYZ ", b"acsp"
    head[68:80] = fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return bytes(head) + table + body


# Adobe RGB (1998): colorants under D50 and gamma 2.2, from its specification.
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
# Of sRGB under D50, for the way back.
SRGB = np.array([(0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410)])


def by_hand(rgb: np.ndarray) -> np.ndarray:
    """Adobe RGB to sRGB by the two definitions: gamma, one matrix to XYZ, one back, sRGB's curve."""
    linear = (rgb / 255.0) ** (563 / 256)
    back = np.clip(linear @ np.array(ADOBE) @ np.linalg.inv(SRGB).T, 0, 1)
    curve = np.where(back <= 0.0031308, 12.92 * back, 1.055 * back ** (1 / 2.4) - 0.055)
    return np.rint(255 * curve)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_wide_profile_is_converted_to_srgb():
    # From colors that both spaces hold, so that nothing is clipped.
    rgb = (smooth_photo(1, 40, 50) * 0.4 + 80).astype(np.uint8)
    data = saved(Image.fromarray(rgb), "PNG", icc_profile=profile_with_primaries(*ADOBE, 563 / 256))
    photo = decoding.decode(data)
    assert photo.converted
    assert np.abs(photo.rgb - by_hand(rgb)).max() <= 2
    assert np.abs(photo.rgb - rgb.astype(float)).max() > 8  # and it does make a difference
    plain = decoding.decode(data, profiles=False)
    assert not plain.converted
    np.testing.assert_array_equal(plain.rgb, rgb)


def test_alpha_and_palettes_keep_their_shape():
    rgb = (smooth_photo(1, 40, 50) * 0.4 + 80).astype(np.uint8)
    profile = profile_with_primaries(*ADOBE, 563 / 256)
    opaque = decoding.decode(saved(Image.fromarray(rgb), "PNG", icc_profile=profile)).rgb
    alpha = Image.fromarray(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))
    np.testing.assert_array_equal(decoding.decode(saved(alpha, "PNG", icc_profile=profile)).rgb, opaque)
    palette = decoding.decode(saved(Image.fromarray(rgb).quantize(64), "PNG", icc_profile=profile))
    assert palette.converted
    assert np.abs(palette.rgb.astype(int) - opaque).mean() < 8


@pytest.mark.parametrize(
    "profile",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),  # of no RGB image
        b"damaged",
    ],
)
def test_what_viewers_ignore_changes_nothing(profile):
    rgb = smooth_photo(1, 40, 50)
    photo = decoding.decode(saved(Image.fromarray(rgb), "PNG", icc_profile=profile))
    assert not photo.converted
    np.testing.assert_array_equal(photo.rgb, rgb)
