"""Decoding, cropping and resizing: against the public release, an independent oracle, and photos that go wrong."""

import fractions
import io

import numpy as np
import pytest
from PIL import Image

from coltran.images import decoding, geometry
from tests.conftest import encoded, smooth_photo


def exact_area_mean(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The definition in rational numbers: mean over each output pixel's rectangle, for [H, W] images."""

    def weights(source: int, target: int) -> list[list[fractions.Fraction]]:
        scale = fractions.Fraction(source, target)
        return [
            [max(0, min(p + 1, (o + 1) * scale) - max(p, o * scale)) / scale for p in range(source)]
            for o in range(target)
        ]

    rows, columns = weights(image.shape[0], height), weights(image.shape[1], width)
    return np.array(
        [
            [
                sum(r * c * int(image[y, x]) for y, r in enumerate(row) for x, c in enumerate(col) if r * c)
                for col in columns
            ]
            for row in rows
        ]
    )


@pytest.mark.parametrize(
    ("source", "target"), [((13, 7), (5, 3)), ((3, 4), (8, 8)), ((9, 9), (9, 9)), ((10, 6), (5, 9))]
)
def test_area_resize_is_the_exact_mean_rounded(source, target):
    image = np.random.default_rng(1).integers(0, 256, source, np.uint8)
    exact = exact_area_mean(image, *target)
    result = geometry.area_resize(image, *target)
    # Half to even is Python's round() on fractions; float32 may only decide otherwise on exact ties.
    for value, mean in zip(result.ravel(), exact.ravel(), strict=True):
        assert value == round(mean) or abs(mean - int(mean)) == fractions.Fraction(1, 2)


def test_ties_go_to_even():
    image = np.array([[0, 1], [2, 3]], np.uint8).repeat(2, axis=0)  # means of the columns 1, 2; of pairs 0.5, 2.5
    pairs = geometry.area_resize(np.array([[0, 1, 2, 3]], np.uint8), 1, 2)
    assert pairs.tolist() == [[0, 2]]
    assert geometry.area_resize(image, 1, 2).tolist() == [[1, 2]]


def test_reference(reference_folder):
    for name in sorted((reference_folder / "preprocess").glob("*.npz")):
        data = np.load(name)
        rgb_256 = geometry.area_resize(geometry.center_crop(data["decoded"]), 256, 256)
        difference = np.abs(rgb_256.astype(int) - data["rgb_256"])
        assert difference.max() <= 1, name.stem
        assert (difference.max(axis=-1) == 0).mean() >= 0.9999, name.stem
        rgb_64 = geometry.area_resize(data["rgb_256"], 64, 64)
        np.testing.assert_array_equal(rgb_64, data["rgb_64"], err_msg=name.stem)
        np.testing.assert_array_equal(geometry.area_resize(rgb_64, 256, 256), data["rgb_64_up_256"], err_msg=name.stem)
        np.testing.assert_array_equal(
            geometry.repeat_pixels(rgb_64, 256, 256), data["rgb_64_up_256"], err_msg=name.stem
        )


@pytest.mark.parametrize(("shape", "box"), [((5, 9), (0, 2, 5)), ((10, 5), (2, 0, 5)), ((4, 4), (0, 0, 4))])
def test_center_crop_takes_the_floor_offset(shape, box):
    image = np.arange(np.prod(shape)).reshape(shape)
    top, left, side = box
    np.testing.assert_array_equal(geometry.center_crop(image), image[top : top + side, left : left + side])


def test_random_crops_cover_all_places_and_depend_on_seed_key_and_index_alone():
    image = np.arange(10).reshape(1, 10)
    places = {int(geometry.random_crop(image, seed=0, key=f"k{i}", index=0)[0, 0]) for i in range(300)}
    assert places == set(range(10))
    crop = geometry.random_crop(image, seed=0, key="k", index=0)
    np.testing.assert_array_equal(crop, geometry.random_crop(image.copy(), seed=0, key="k", index=0))
    others = [
        geometry.random_crop(image, seed=s, key=k, index=i) for s, k, i in [(1, "k", 0), (0, "l", 0), (0, "k", 3)]
    ]
    assert any((other != crop).any() for other in others)


def test_cmyk_jpeg_decodes_to_its_colors():
    image = smooth_photo(3, 40, 60)
    buffer = io.BytesIO()
    Image.fromarray(image).convert("CMYK").save(buffer, "JPEG", quality=98)
    photo = decoding.decode(buffer.getvalue())
    assert np.abs(photo.rgb.astype(int) - image).mean() < 6


def test_16_bit_png_keeps_its_range():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    photo = decoding.decode(encoded(ramp, "PNG"))
    np.testing.assert_array_equal(photo.rgb[..., 1], ramp >> 8)
    assert photo.grayscale


def test_alpha_is_laid_over_white():
    layered = np.zeros((20, 20, 4), np.uint8)
    layered[:10] = [200, 10, 30, 255]
    rgb = decoding.decode(encoded(layered, "PNG")).rgb
    assert rgb[0, 0].tolist() == [200, 10, 30]
    assert rgb[-1, -1].tolist() == [255, 255, 255]


def test_exif_orientation_is_applied():
    image = smooth_photo(4, 30, 50)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn right by 90 degrees
    rgb = decoding.decode(encoded(image, quality=98, exif=exif.tobytes())).rgb
    assert rgb.shape == (50, 30, 3)
    assert np.abs(rgb.astype(int) - np.rot90(image, -1)).mean() < 4


def test_grayscale_means_no_color_in_any_pixel():
    gray = np.repeat(smooth_photo(5, 20, 20)[..., :1], 3, axis=-1).copy()
    assert decoding.decode(encoded(gray, "PNG")).grayscale
    gray[7, 7, 0] ^= 1
    assert not decoding.decode(encoded(gray, "PNG")).grayscale


JPEG = encoded(smooth_photo(6, 64, 64))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"this is a text file", "not_an_image"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:30], "truncated"),
        (encoded(np.zeros((1, 1, 3), np.uint8)), "too_small"),
        (encoded(np.zeros((200, 600), np.uint8), "PNG"), "too_large"),
    ],
)
def test_bad_files_are_rejected_with_their_reason(data, reason):
    with pytest.raises(decoding.ImageRejected) as rejected:
        decoding.decode(data, max_pixels=100_000)
    assert rejected.value.reason == reason
