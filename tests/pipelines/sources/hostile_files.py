"""Files that pass for images and are none, and photos that are odd but good."""

import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image, ImageCms

from tests.conftest import encoded, smooth_photo

PHOTO = smooth_photo(1, 64, 80)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_of(width: int, height: int, *chunks: bytes) -> bytes:
    header = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def _jpeg_of(width: int, height: int) -> bytes:
    """A good JPEG whose header says another size."""
    data = bytearray(encoded(PHOTO))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("photo.JPEG", data)
    return buffer.getvalue()


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(data: bytes, after: bytes, by: int) -> bytes:
    changed = bytearray(data)
    changed[data.index(after) + by] ^= 255
    return bytes(changed)


def bad_files() -> dict[str, tuple[bytes, str]]:
    """(bytes, the reason for which it must be rejected) by file name."""
    jpeg, png = encoded(PHOTO), encoded(PHOTO, "PNG")
    webp, gif = encoded(PHOTO, "WEBP"), encoded(PHOTO, "GIF")
    tiff, bmp, ppm = encoded(PHOTO, "TIFF"), encoded(PHOTO, "BMP"), encoded(PHOTO, "PPM")
    noise = np.random.default_rng(0).bytes(5000)
    bits = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bits, "PNG")
    text_bomb = _png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 80_000_000))
    return {
        "empty.JPEG": (b"", "empty_file"),
        "empty_png.png": (b"", "empty_file"),
        "text.JPEG": (b"I am not an image\n", "not_an_image"),
        "error_page.jpg": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not_an_image"),
        "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not_an_image"),
        "table.jpg": (b'{"error": "rate limited"}', "not_an_image"),
        "unicode.jpg": ("kein Bild".encode("utf-16"), "not_an_image"),
        "noise.jpg": (noise, "not_an_image"),
        "zeros.jpg": (bytes(1000), "not_an_image"),
        "one_byte.jpg": (b"\xff", "not_an_image"),
        "packed.jpg": (b"\x1f\x8b\x08\0" + zlib.compress(jpeg), "not_an_image"),
        "zip.jpg": (_zipped(jpeg), "not_an_image"),
        "document.jpg": (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", "not_an_image"),
        "film.jpg": (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + noise, "not_an_image"),
        "phone.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + noise, "not_an_image"),
        "program.png": (b"\x7fELF\x02\x01\x01" + noise, "not_an_image"),
        "ghost.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n", "not_an_image"),
        "sound.gif": (b"RIFF\x24\0\0\0WAVEfmt " + noise, "not_an_image"),
        "half.JPEG": (_half(jpeg), "truncated"),
        "tail.JPEG": (jpeg[: len(jpeg) * 9 // 10], "truncated"),
        "start_only.JPEG": (jpeg[:20], "truncated"),
        "two_bytes.JPEG": (jpeg[:2], "not_an_image"),
        "half_png.png": (_half(png), "truncated"),
        "flipped.png": (_flipped(png, b"IDAT", 40), "truncated"),
        "no_data.png": (_png_of(64, 64, _png_chunk(b"IEND", b"")), "truncated"),
        "signature.png": (b"\x89PNG\r\n\x1a\n", "truncated"),
        "wrong_data.png": (_png_of(64, 64, _png_chunk(b"IDAT", noise), _png_chunk(b"IEND", b"")), "truncated"),
        "text_bomb.png": (_png_of(64, 64, text_bomb, _png_chunk(b"IEND", b"")), "truncated"),
        "half_webp.webp": (_half(webp), "truncated"),
        "half_gif.gif": (_half(gif), "truncated"),
        "half_bmp.bmp": (_half(bmp), "truncated"),
        "half_tiff.tiff": (_half(tiff), "truncated"),
        "half_ppm.ppm": (_half(ppm), "truncated"),
        "pixel_png.png": (encoded(PHOTO[:1, :1], "PNG"), "too_small"),
        "line.JPEG": (encoded(PHOTO[:7]), "too_small"),
        "column.JPEG": (encoded(PHOTO[:, :3]), "too_small"),
        "pixel_gif.gif": (encoded(PHOTO[:1, :1], "GIF"), "too_small"),
        "bomb_png.png": (bits.getvalue(), "too_large"),
        "bomb_header.png": (_png_of(60_000, 60_000, _png_chunk(b"IDAT", b"")), "too_large"),
        "bomb.JPEG": (_jpeg_of(65_000, 65_000), "too_large"),
        "bomb_gif.gif": (b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + gif[10:], "too_large"),
        "photo_0.png": (png, "duplicate_key"),
        "große katze.JPEG": (b"", "empty_file"),
        "new\nline.jpg": (b"", "empty_file"),
        '=cmd("x").jpg': (b"", "empty_file"),
    }


def odd_but_good() -> dict[str, bytes]:
    """Files that a viewer shows, by name."""
    photo = Image.fromarray(PHOTO)
    alpha = Image.fromarray(np.dstack([PHOTO, np.full(PHOTO.shape[:2], 200, np.uint8)]))
    frames = [Image.fromarray(smooth_photo(seed, 64, 80)) for seed in (2, 3)]
    gray = photo.convert("L")
    deep = np.linspace(0, 65535, 64 * 80).reshape(64, 80).astype(np.uint16)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()

    def saved(image, kind: str, **options) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "cmyk.JPEG": saved(photo.convert("CMYK"), "JPEG"),
        "really_png.JPEG": saved(photo, "PNG"),
        "turned.JPEG": saved(photo, "JPEG", exif=exif),
        "wrong_profile.JPEG": saved(photo, "JPEG", icc_profile=profile),
        "broken_profile.JPEG": saved(photo, "JPEG", icc_profile=b"no profile at all"),
        "gray.JPEG": saved(gray, "JPEG"),
        "deep.png": saved(Image.fromarray(deep), "PNG"),
        "deep_tiff.tiff": saved(Image.fromarray(deep), "TIFF"),
        "nan.tiff": saved(Image.fromarray(np.where(deep > 9000, np.nan, 0.5).astype(np.float32)), "TIFF"),
        "alpha.png": saved(alpha, "PNG"),
        "gray_alpha.png": saved(alpha.convert("LA"), "PNG"),
        "palette.png": saved(photo.quantize(16), "PNG", transparency=3),
        "bits.png": saved(photo.convert("1"), "PNG"),
        "moving.gif": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "moving_webp.webp": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "moving_png.png": saved(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "progressive.jpg": saved(photo, "JPEG", progressive=True),
        "trailing.jpg": saved(photo, "JPEG") + b"\0" * 500,
        "plain.bmp": saved(photo, "BMP"),
        "UPPER.JPG": saved(photo, "JPEG"),
        "фото 写真 é.jpg": saved(photo, "JPEG"),
        "x" * 240 + ".jpg": saved(photo, "JPEG"),
        "two.dots.jpg": saved(photo, "JPEG"),
    }
