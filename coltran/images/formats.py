"""Which image formats can be decoded here, which suffixes they have, and what other images are called."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping

from coltran.images import tiff

# Only formats made of pixels are allowed. Pillow would hand an EPS file to Ghostscript, which runs programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "ICO", "HEIF")
HEIC_HINT = "pip install 'coltran-pipelines[heic]' reads HEIC"
_HEIC_SUFFIXES = (".heic", ".heif", ".hif", ".heics", ".heifs")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_OTHER_KINDS = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"8BPS": "Photoshop",
    b"II\xbc\x01": "JPEG XR",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"qoif": "QOI",
    b"DDS ": "DDS",
    b"SIMPLE  =": "FITS",
    b"PF\n": "float RGB (PFM)",
    b"P7\n": "PAM",
    b"FUJIFILMCCD-RAW": "raw camera data",
    b"gimp xcf": "GIMP",
}
_JPEG_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]..(.)", re.DOTALL)


@functools.cache
def known_formats() -> tuple[str, ...]:
    """Lists the FORMATS that can be read here: those of this machine's Pillow, and HEIF if pillow-heif is installed."""
    from PIL import Image

    Image.init()
    if importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)
    return tuple(name for name in FORMATS if name in Image.OPEN)


@functools.cache
def image_suffixes() -> tuple[str, ...]:
    """Lists the suffixes, in lower case, of all files that `decoding.decode` can read here."""
    from PIL import Image

    known = {*known_formats(), *(("MPO",) if "JPEG" in known_formats() else ())}  # an MPO is a JPEG with more behind it
    return tuple(sorted(suffix for suffix, name in Image.registered_extensions().items() if name in known))


def has_image_suffix(name: str) -> bool:
    """Tells whether a file's name says that it is an image that can be decoded here."""
    return name.lower().endswith(image_suffixes())


def heic_hint(passed_over: Mapping[str, int]) -> str:
    """Returns a hint at the extra that reads HEIC if such files were passed over, else an empty text."""
    return f" ({HEIC_HINT})" if any(suffix in passed_over for suffix in _HEIC_SUFFIXES) else ""


def unsupported_kind(data: bytes) -> str | None:
    """Names the kind of an image that cannot be decoded, such as `16-bit gray with alpha (TIFF)`.

    Args:
      data: a file's bytes, which Pillow did not recognize.
    Returns:
      The kind, or None if the bytes are no image, or a damaged one.
    """
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and "HEIF" not in known_formats():
        return f"HEIC; {HEIC_HINT}"
    if data.startswith(b"\xff\xd8\xff"):
        frame = _JPEG_FRAME.search(data)
        return f"JPEG of {frame[1][0]} bits" if frame and frame[1][0] in (2, 12, 16) else None
    if tiff.is_tiff(data):
        kind = tiff.kind(data)
        return None if kind in tiff.READABLE else kind  # Pillow reads these, so it is damaged
    return next((kind for start, kind in _OTHER_KINDS.items() if data.startswith(start)), None)
