"""Embedded color profiles: a photo that carries one is converted to sRGB, as every viewer does.

About one in eleven ImageNet photos was saved in Adobe RGB or a camera's own space. The public release ignored that, so
whoever needs its very pixels asks for that (`--icc ignore`).
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageCms


def to_srgb(image: Image.Image) -> Image.Image | None:
    """Converts a Pillow image to sRGB by its embedded color profile.

    Args:
      image: of any mode.
    Returns:
      An RGB image, with an alpha channel where the image had one; None where there is nothing to convert: no profile,
      sRGB itself, or a profile that is damaged or of another kind than the image, which viewers ignore.
    """
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "L", "CMYK", "P", "RGBA", "LA", "PA"):
        return None
    alpha = None
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A")
        image = image.convert(image.mode[:-1])
    transform = _transform(profile, image.mode)
    if transform is None:
        return None
    from PIL import ImageCms

    converted = ImageCms.applyTransform(image, transform)
    if alpha is not None and converted is not None:
        converted.putalpha(alpha)
    return converted


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB for images of `mode`; None where there is nothing to convert, or the profile is no good.

    Cameras and programs repeat the same few profiles, and a transform takes longer to build than to apply.
    """
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return None
        target = ImageCms.createProfile("sRGB")
        # Without the cache of one pixel, a transform may be shared by threads.
        return ImageCms.buildTransform(source, target, mode, "RGB", flags=ImageCms.Flags.NOCACHE)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
