"""Converts a photo with an embedded color profile to sRGB, as every viewer does.

About one in eleven ImageNet photos was saved in Adobe RGB or a camera's own color space. The public release ignored
that. If you need exactly the release's pixels, use `--icc ignore`.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageCms

_MODES = ("RGB", "L", "CMYK", "P", "RGBA", "LA", "PA")


def to_srgb(image: Image.Image) -> Image.Image | None:
    """Converts a Pillow image to sRGB by its embedded color profile.

    Args:
      image: an image of any mode.
    Returns:
      An RGB image, with an alpha channel if the image had one. None if there is nothing to convert. Then the image has
      no profile, or the profile is sRGB, or it is damaged or of another kind than the image, so that viewers ignore it.
    """
    if not needs_conversion(image):
        return None
    alpha = None
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A")
        image = image.convert(image.mode[:-1])
    transform = _transform(image.info["icc_profile"], image.mode)
    if transform is None:
        return None
    from PIL import ImageCms

    try:
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, ValueError):
        return None
    if alpha is not None and converted is not None:
        converted.putalpha(alpha)
    return converted


def needs_conversion(image: Image.Image) -> bool:
    """Tells whether a profile may change the image's pixels, loaded or not."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in _MODES:
        return False
    return image.mode not in ("RGB", "L") or _transform(profile, image.mode) is not None


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Makes the transform of `mode` images from a profile to sRGB; None if none is needed or the profile is unusable.

    The result is cached: cameras and programs repeat the same few profiles, and building a transform takes longer than
    applying it.
    """
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return None
        target = ImageCms.createProfile("sRGB")
        # Threads may share a transform that has no one-pixel cache.
        return ImageCms.buildTransform(source, target, mode, "RGB", flags=ImageCms.Flags.NOCACHE)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
