"""Any mode that Pillow decodes, as 8-bit sRGB: embedded profiles applied, transparency over white."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from handler.errors import UnsupportedFormat

LARGEST_PROFILE = 4 * 2**20
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


def to_srgb(image: Image.Image) -> Image.Image:
    """The loaded image as RGB; an unreadable colour profile is ignored, as browsers do."""
    profile = image.info.get("icc_profile")
    if profile and len(profile) <= LARGEST_PROFILE and image.mode in ("RGB", "CMYK", "L"):
        transform = _transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in SIXTEEN_BIT or (image.mode == "I" and image.format == "PNG"):
        samples = np.asarray(image).astype(np.uint16)
        return Image.fromarray((samples >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnsupportedFormat("Images with 32 bits a channel are not read. Save it with 8 or 16 bits a channel.")
    if image.mode == "LAB":
        raise UnsupportedFormat("Lab colour images are not read. Save it as RGB.")
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", image.size, (255, 255, 255))
    page.paste(image, mask=image.getchannel("A"))
    return page


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.getOpenProfile(BytesIO(profile))
        if mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
