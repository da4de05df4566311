"""Folders of images: a file is what its content shows, nothing is passed over without a word, and alpha is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from coltran.errors import UserError
from eval.images import lossless_files, sets
from eval.images.reading import read_chunk
from tests.conftest import smooth_photo

SIDE = 16
LOSSLESS = {"png": "PNG", "bmp": "BMP", "tif": "TIFF", "tiff": "TIFF", "ppm": "PPM", "tga": "TGA"}


def encoded(kind: str, seed: int = 0, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(smooth_photo(seed, SIDE, SIDE)).save(file, kind, **options)
    return file.getvalue()


def half_transparent() -> Image.Image:
    alpha = np.full((SIDE, SIDE, 1), 255, np.uint8)
    alpha[:4] = 128
    return Image.fromarray(np.concatenate([smooth_photo(0, SIDE, SIDE), alpha], axis=-1))


def opened(folder, alpha=None):
    return sets.choose(sets.open_sources([str(folder)], "hi", 0, alpha), part=None, num=None, seed=0)


def read(folder, alpha=None) -> dict[str, np.ndarray]:
    (source,) = opened(folder, alpha).sources
    return {
        name: pixels
        for index, names in enumerate(source.chunks)
        for name, pixels, _ in read_chunk(source, index, names)
    }


def test_lossless_formats_by_content_in_folders_below_and_under_wrong_names(tmp_path):
    for number, (suffix, kind) in enumerate(LOSSLESS.items()):
        folder = tmp_path / f"class{number % 2}"
        folder.mkdir(exist_ok=True)
        (folder / f"a.{suffix}").write_bytes(encoded(kind, number))
    (tmp_path / "wrong.jpg").write_bytes(encoded("PNG", 77))
    images = read(tmp_path)
    assert sorted(images) == sorted([f"class{n % 2}/a.{suffix}" for n, suffix in enumerate(LOSSLESS)] + ["wrong.jpg"])
    for number, suffix in enumerate(LOSSLESS):
        np.testing.assert_array_equal(images[f"class{number % 2}/a.{suffix}"], smooth_photo(number, SIDE, SIDE))
    np.testing.assert_array_equal(images["wrong.jpg"], smooth_photo(77, SIDE, SIDE))


@pytest.mark.parametrize(
    ("name", "kind", "options", "message"),
    [
        ("b.png", "JPEG", {}, "1 lossy images (b.png, by its content JPEG)"),
        ("b.png", "WEBP", {}, "1 lossy images (b.png, by its content WEBP)"),
        ("b.jfif", "JPEG", {}, "by its content JPEG"),
        ("b.gif", "GIF", {}, "by its content GIF"),
        ("b.jp2", "JPEG2000", {}, "by its content JPEG2000"),
        ("b.avif", "AVIF", {}, "by its content AVIF"),
        ("b.tif", "TIFF", {"compression": "jpeg"}, "by its content TIFF with JPEG"),
        ("b.tif", "TIFF", {"save_all": True, "append_images": [Image.new("RGB", (SIDE, SIDE))]}, "holds 2 images"),
    ],
)
def test_lossy_and_manifold_files_are_refused_whatever_their_name(name, kind, options, message, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    (tmp_path / name).write_bytes(encoded(kind, **options))
    with pytest.raises(UserError) as caught:
        opened(tmp_path)
    assert message in str(caught.value)


def test_what_is_no_image_is_told(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    for name in ("._a.png", "Thumbs.db", "notes.txt", "more.txt", "raw.dng"):
        (tmp_path / name).write_bytes(b"text")
    images = opened(tmp_path)
    assert images.count == 1
    assert images.told == ("5 files passed over: 2 .txt, 1 hidden, 1 system file, 1 .dng",)
    (tmp_path / "b.png").write_bytes(b"text")
    with pytest.raises(UserError, match=r"b\.png: image data is cut or damaged, or of no known format"):
        opened(tmp_path)


@pytest.mark.parametrize("way", ["RGBA", "LA", "palette"])
def test_alpha_is_refused_unless_it_is_said_what_becomes_of_it(way, tmp_path):
    image = half_transparent()
    image = image.quantize(32) if way == "palette" else image.convert(way)
    image.save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"1 of 1 images are not fully opaque \(a\.png\); give --alpha white"):
        opened(tmp_path)
    bare, white = (read(tmp_path, alpha)["a.png"] for alpha in lossless_files.ALPHAS)
    np.testing.assert_array_equal(bare, np.asarray(image.convert("RGBA"))[..., :3])
    assert (white[:4].astype(int) >= bare[:4]).all()
    assert (white[:4] != bare[:4]).any()
    np.testing.assert_array_equal(white[6:], bare[6:])
    assert opened(tmp_path, "drop").fingerprints != opened(tmp_path, "white").fingerprints
    assert opened(tmp_path, "white").told == ("1 of 1 images are not fully opaque: --alpha white",)


def test_opaque_alpha_is_nothing_to_ask_about(tmp_path):
    Image.fromarray(smooth_photo(0, SIDE, SIDE)).convert("RGBA").save(tmp_path / "a.png")
    assert opened(tmp_path).told == ()
    np.testing.assert_array_equal(read(tmp_path)["a.png"], smooth_photo(0, SIDE, SIDE))


def test_folders_of_the_same_names_are_one_set(tmp_path):
    for place in range(2):
        (tmp_path / str(place) / "deep").mkdir(parents=True)
        (tmp_path / str(place) / "deep" / "a.png").write_bytes(encoded("PNG", place))
    paths = [str(tmp_path / str(place)) for place in range(2)]
    sources = sets.open_sources(paths, "hi", 0)
    images = [pixels for source in sources for _, pixels, _ in read_chunk(source, 0, source.names)]
    for place, pixels in enumerate(images):
        np.testing.assert_array_equal(pixels, smooth_photo(place, SIDE, SIDE))
