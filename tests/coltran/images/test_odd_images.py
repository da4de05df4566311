"""Images of other people's programs: shown as viewers show them, or refused by what they are."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from coltran.images import decoding, formats, tiff
from tests.conftest import encoded, smooth_photo

PHOTO = smooth_photo(1, 64, 80)
LUMA = np.asarray(Image.fromarray(PHOTO).convert("L"))


def tiff_of(
    pixels: np.ndarray, *, photometric: int = 1, sample_format: int = 1, bits: int = 0, extra: int = 0
) -> bytes:
    """An uncompressed little-endian TIFF, written by hand: Pillow cannot write most of these kinds."""
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    samples = pixels.shape[2]
    depth = bits or pixels.dtype.itemsize * 8
    if bits == 12:
        wide = pixels.reshape(pixels.shape[0], -1).astype(np.uint16)
        high, low = wide[:, ::2], wide[:, 1::2]
        data = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], axis=-1).astype(np.uint8).tobytes()
    else:
        data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    tags = {256: pixels.shape[1], 257: pixels.shape[0], 259: 1, 262: photometric, 277: samples, 278: pixels.shape[0]}
    entries = {tag: struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()}
    end = 8 + len(data)
    entries[273] = struct.pack("<HHII", 273, 4, 1, 8)
    entries[279] = struct.pack("<HHII", 279, 4, 1, len(data))
    tail = b""
    for tag, value in ((258, depth), (339, sample_format)):
        words = struct.pack(f"<{samples}H", *[value] * samples)
        place = words.ljust(4, b"\0") if len(words) <= 4 else struct.pack("<I", end + len(tail))
        tail += b"" if len(words) <= 4 else words
        entries[tag] = struct.pack("<HHI", tag, 3, samples) + place
    if extra:
        entries[338] = struct.pack("<HHIHH", 338, 3, 1, extra, 0)
    directory = struct.pack("<H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    return struct.pack("<2sHI", b"II", 42, end + len(tail)) + data + tail + directory


def decoded(data: bytes) -> np.ndarray:
    return decoding.decode(data).rgb.astype(int)


DEEP = LUMA.astype(np.uint16) * 257
SHOWN = {  # all show LUMA, within what their depth can hold
    "16 bits": tiff_of(DEEP),
    "16 bits, white is zero": tiff_of(65535 - DEEP, photometric=0),
    "8 bits, white is zero": tiff_of(255 - LUMA, photometric=0),
    "12 bits": tiff_of(DEEP >> 4, bits=12),
    "float to 1": tiff_of(LUMA.astype(np.float32) / 255, sample_format=3),
    "float to 1, white is zero": tiff_of(1 - LUMA.astype(np.float32) / 255, sample_format=3, photometric=0),
    "float to 255": tiff_of(LUMA.astype(np.float32), sample_format=3),
    "float to 65535": tiff_of(DEEP.astype(np.float32), sample_format=3),
    "float with a hole": tiff_of(np.where(LUMA.min() == LUMA, np.nan, LUMA / 255).astype(np.float32), sample_format=3),
    "PGM of 12 bits": b"P5 80 64 4095\n" + (DEEP >> 4).astype(">u2").tobytes(),
    "PFM": b"Pf\n80 64\n-1.0\n" + (LUMA / 255)[::-1].astype("<f4").tobytes(),
    "PNG of 16 bits": encoded(DEEP, "PNG"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_deep_gray_is_shown_as_viewers_do(name):
    assert np.abs(decoded(SHOWN[name]) - LUMA[..., None]).max() <= (LUMA.min() if "hole" in name else 1)


UNSUPPORTED = {
    "12 bits, white is zero": (tiff_of(DEEP >> 4, bits=12, photometric=0), "12-bit gray"),
    "16-bit gray with alpha": (tiff_of(np.dstack([DEEP, DEEP]), extra=2), r"16-bit gray with alpha \(TIFF\)"),
    "float RGB": (
        tiff_of(PHOTO.astype(np.float32) / 255, photometric=2, sample_format=3),
        r"float 32-bit RGB \(TIFF\)",
    ),
    "signed 16": (
        tiff_of((DEEP // 2).astype(np.int16), sample_format=2),
        "signed 16-bit gray",
    ),
    "signed 16 below zero": (tiff_of((DEEP // 2).astype(np.int16) - 9999, sample_format=2), "values from -"),
    "signed 8": (tiff_of((LUMA // 2).astype(np.int8), sample_format=2), "signed 8-bit"),
    "32 bits": (tiff_of(DEEP.astype(np.uint32) * 65537), "32-bit gray with values from"),
    "float above all": (tiff_of(DEEP.astype(np.float32) * 100, sample_format=3), "float gray with values from"),
    "float below zero": (tiff_of(LUMA.astype(np.float32) / 128 - 1, sample_format=3), "float gray with values from -"),
    "float without end": (tiff_of(np.full((64, 80), np.inf, np.float32), sample_format=3), "float gray with values"),
    "five channels": (
        tiff_of(np.dstack([PHOTO, LUMA, LUMA]).astype(np.uint16), photometric=2),
        "16-bit RGB with 2",
    ),
    "JPEG XL": (b"\xff\x0a" + bytes(50), "JPEG XL"),
    "JPEG XL in boxes": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL"),
    "PFM in color": (b"PF\n8 8\n-1.0\n" + bytes(8 * 8 * 12), r"float RGB \(PFM\)"),
    "float of 64 bits": (tiff_of(LUMA / 255, sample_format=3), "float 64-bit gray"),
    "Photoshop": (b"8BPS\0\1" + bytes(50), "Photoshop"),
    "JPEG of 12 bits": (encoded(PHOTO).replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"), "JPEG of 12 bits"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_cannot_be_shown_is_named(name):
    data, message = UNSUPPORTED[name]
    with pytest.raises(decoding.ImageRejected, match=message) as caught:
        decoding.decode(data)
    assert caught.value.reason == "unsupported"


def exif_of(orientation: bytes, *more: bytes) -> bytes:
    """EXIF with these directory entries, big-endian."""
    entries = [orientation, *more]
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4) + bytes(64)


TURNED = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
RESOLUTION_AS_TEXT = struct.pack(">HHI4s", 0x011A, 2, 4, b"72\0\0")
RESOLUTION_OF_NOTHING = struct.pack(">HHII", 0x011A, 5, 1, 0xFFFFFF)
DOUBLE_CUT = struct.pack(">HHII", 0x9999, 12, 4, 40)
UNKNOWN_TYPE = struct.pack(">HHII", 0x9998, 99, 1, 0)
EXIF = {  # (EXIF, whether it says to turn the photo)
    "plain": (exif_of(TURNED), True),
    "resolution as text": (exif_of(RESOLUTION_AS_TEXT, TURNED), True),
    "a value outside": (exif_of(TURNED, RESOLUTION_OF_NOTHING), True),
    "a double cut": (exif_of(TURNED, DOUBLE_CUT), True),
    "an unknown type": (exif_of(TURNED, UNKNOWN_TYPE), True),
    "as a long": (exif_of(struct.pack(">HHII", 0x0112, 4, 1, 6)), True),
    "as a byte": (exif_of(struct.pack(">HHIB3x", 0x0112, 1, 1, 6)), True),
    "no such orientation": (exif_of(struct.pack(">HHIHH", 0x0112, 3, 1, 77, 0)), False),
    "zero": (exif_of(struct.pack(">HHIHH", 0x0112, 3, 1, 0, 0)), False),
    "noise": (b"Exif\0\0" + bytes(range(90)), False),
    "cut": (exif_of(TURNED)[:13], False),
    "nothing": (b"Exif\0\0", False),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("name", EXIF)
def test_exif_that_is_odd_costs_no_photo(name, kind):
    exif, turned = EXIF[name]
    if kind == "TIFF":
        data = encoded(PHOTO, "TIFF", tiffinfo={0x0112: 6} if turned else {})
    else:
        data = encoded(PHOTO, kind, exif=exif if kind == "JPEG" else exif.removeprefix(b"Exif\0\0"))
    rgb = decoded(data)
    expected = np.rot90(PHOTO, -1) if turned else PHOTO
    assert rgb.shape == expected.shape
    assert np.abs(rgb - expected).mean() < 8


@pytest.mark.parametrize("turn", range(1, 9))
def test_all_eight_orientations_in_tiffs_and_jpegs(turn):
    """The definition, corner by corner: where the first row and the first column of the stored pixels belong."""
    row, column = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[turn]  # fmt: skip
    expected = PHOTO if row in ("top", "bottom") else PHOTO.transpose(1, 0, 2)
    expected = expected[::-1] if "bottom" in (row, column) else expected
    expected = expected[:, ::-1] if "right" in (row, column) else expected
    exif = Image.Exif()
    exif[0x0112] = turn
    np.testing.assert_array_equal(decoded(encoded(PHOTO, "TIFF", tiffinfo={0x0112: turn})), expected)
    packed = decoded(encoded(PHOTO, "TIFF", compression="tiff_lzw", tiffinfo={0x0112: turn}))
    np.testing.assert_array_equal(packed, expected)
    assert np.abs(decoded(encoded(PHOTO, quality=98, exif=exif)) - expected).mean() < 4


def saved(first: np.ndarray, kind: str, *others: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(first).save(buffer, kind, save_all=True, append_images=[*map(Image.fromarray, others)], **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_largest_page_is_the_photo(place, compression):
    pages = [smooth_photo(seed, 16, 20) for seed in (2, 3)]
    pages.insert(place, PHOTO)
    photo = decoding.decode(saved(pages[0], "TIFF", *pages[1:], compression=compression))
    assert photo.rgb.shape == PHOTO.shape
    assert np.abs(photo.rgb.astype(int) - PHOTO).mean() < 8
    assert (photo.left_out, photo.note) == (2, f"page {place + 1} of 3, the largest one")


def test_a_page_that_says_it_is_smaller_is_none():
    """A reduced page by its tag, although it has as many pixels."""
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer, True) as writer:
        for pixels, subfile in ((smooth_photo(2, 64, 80), 1), (PHOTO, 0)):
            Image.fromarray(pixels).save(writer, "TIFF", tiffinfo={254: subfile})
            writer.newFrame()
    np.testing.assert_array_equal(decoded(buffer.getvalue()), PHOTO)


@pytest.mark.parametrize(("kind", "note"), [("GIF", "frame 1 of 3"), ("WEBP", "frame 1 of 3"), ("PNG", "frame 1 of 3")])
def test_frames_after_the_first_are_named(kind, note):
    photo = decoding.decode(saved(PHOTO, kind, smooth_photo(2, 64, 80), smooth_photo(3, 64, 80)))
    assert (photo.left_out, photo.note) == (2, note)
    assert np.abs(photo.rgb.astype(int) - PHOTO).mean() < 8


def test_one_page_has_no_note():
    assert decoding.decode(encoded(PHOTO)).note == decoding.decode(encoded(PHOTO, "TIFF")).note == ""


def test_suffixes_are_those_of_the_formats_that_are_read():
    """Every kind that Pillow writes under one of the suffixes can be read back, and the usual ones are among them."""
    assert {".jpg", ".jpe", ".jfif", ".avif", ".jp2", ".tga", ".heic", ".tif", ".webp", ".ppm"} <= set(
        formats.image_suffixes()
    )
    assert not {".pdf", ".eps", ".svg", ".xml", ".psd", ".mp4"} & set(formats.image_suffixes())
    written = Image.registered_extensions()
    for suffix in formats.image_suffixes():
        if written[suffix] in Image.SAVE and suffix not in (".apng", ".avifs", ".pfm", ".pbm", ".pgm"):
            buffer = io.BytesIO()
            Image.fromarray(PHOTO).save(buffer, written[suffix])
            assert decoded(buffer.getvalue()).shape[2] == 3, suffix


def test_heic_is_read_and_without_its_library_the_extra_is_named(monkeypatch):
    pytest.importorskip("pillow_heif")
    formats.known_formats()
    data = encoded(PHOTO, "HEIF", quality=90)
    assert np.abs(decoded(data) - PHOTO).mean() < 6
    formats.known_formats.cache_clear()
    formats.image_suffixes.cache_clear()
    try:
        monkeypatch.setitem(Image.OPEN, "HEIF", None)
        monkeypatch.delitem(Image.OPEN, "HEIF")
        monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
        assert ".heic" not in formats.image_suffixes()
        with pytest.raises(decoding.ImageRejected, match=r"HEIC; pip install 'coltran-pipelines\[heic\]'") as caught:
            decoding.decode(data)
        assert caught.value.reason == "unsupported"
        assert "coltran-pipelines[heic]" in formats.heic_hint({".heic": 2})
    finally:
        formats.known_formats.cache_clear()
        formats.image_suffixes.cache_clear()
    assert formats.heic_hint({".pdf": 1}) == ""


def test_a_tiffs_kind_by_its_tags_alone():
    assert tiff.kind(tiff_of(LUMA)) == "8-bit gray (TIFF)"
    assert tiff.kind(tiff_of(PHOTO, photometric=2)) == "8-bit RGB (TIFF)"
    assert tiff.kind(b"II*\0") is None
