"""Any mode that Pillow decodes, as upright 8-bit sRGB: embedded profiles applied, transparency over white."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, ImageCms, TiffImagePlugin
from PIL.Image import Transpose
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

from handler.errors import UnsupportedFormat

LARGEST_PROFILE = 4 * 2**20
TRANSLATION = 12
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
GREY = ("1", "L")
WHITE_IS_ZERO = 0
SIDEWAYS = (Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90)
BACKWARDS = (Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM, Transpose.ROTATE_270, Transpose.TRANSVERSE)
# Between a large image and its page there is no third copy: it is gone through in bands of so many pixels.
BAND = 2**20

Step = Callable[[Image.Image], Image.Image]


def to_srgb(image: Image.Image, turn: Transpose | None) -> Image.Image:
    """The loaded image as RGB, turned; an unreadable colour profile is ignored, as browsers do."""
    profile = image.info.get("icc_profile")
    if image.mode == "RGB" and not image.has_transparency_data:
        image = _colours(image, profile)
        return image if turn is None else _page(image, lambda band: band, turn)
    return _page(image, _conversion(image, profile), turn)


def _page(image: Image.Image, convert: Step, turn: Transpose | None) -> Image.Image:
    width, height = image.size
    rows = max(1, BAND // width)
    if rows >= height:
        return _turned(convert(image), turn)
    page = Image.new("RGB", (height, width) if turn in SIDEWAYS else (width, height))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = _turned(convert(image.crop((0, top, width, bottom))), turn)
        start = height - bottom if turn in BACKWARDS else top
        page.paste(band, (start, 0) if turn in SIDEWAYS else (0, start))
    return page


def _turned(image: Image.Image, turn: Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


def _conversion(image: Image.Image, profile: bytes | None) -> Step:
    """What makes RGB of any band of an image."""
    if image.mode in SIXTEEN_BIT or (image.mode == "I" and image.format == "PNG"):
        bits, white_is_zero = 16, False
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            bits = int(image.tag_v2.get(BITSPERSAMPLE, (bits,))[0])
            white_is_zero = image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
        return lambda band: _flat(_eight_bit(band, bits, white_is_zero), profile)
    if image.mode in ("I", "F"):
        raise UnsupportedFormat(
            "Images with 32 bits a channel, or with signed ones, are not read. Save it with 8 or 16 bits a channel."
        )
    if image.mode == "LAB":
        raise UnsupportedFormat("Lab colour images are not read. Save it as RGB.")
    return partial(_flat, profile=profile)


def _flat(image: Image.Image, profile: bytes | None) -> Image.Image:
    if not image.has_transparency_data:
        return _colours(image, profile)
    if image.mode not in ("LA", "RGBA"):
        image = image.convert("LA" if image.mode in GREY else "RGBA")
    page = _colours(image.convert("L" if image.mode == "LA" else "RGB"), profile)
    page.paste((255, 255, 255), mask=ImageChops.invert(image.getchannel("A")))
    return page


def _eight_bit(image: Image.Image, bits: int, white_is_zero: bool) -> Image.Image:
    """Grey of 16 or 12 bits, with which Pillow does nothing by itself."""
    samples = np.asarray(image).astype(np.uint16)
    grey = (samples >> (bits - 8)).astype(np.uint8)
    result = Image.fromarray(~grey if white_is_zero else grey)
    if (clear := image.info.get("transparency")) is not None:
        result.putalpha(Image.fromarray(np.where(samples == clear, 0, 255).astype(np.uint8)))
    return result


def _colours(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode in ("1", "P"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile and len(profile) <= LARGEST_PROFILE and image.mode in ("RGB", "CMYK", "L"):
        transform = _transform(profile, image.mode)
        if transform is not None:
            return transform.apply_in_place(image) if image.mode == "RGB" else transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.getOpenProfile(BytesIO(profile))
        if mode == "RGB" and _readable_names(profile) and "sRGB" in ImageCms.getProfileDescription(source):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _readable_names(profile: bytes) -> bool:
    """Whether the profile can hold all the translations it declares, for which memory is taken before they are read."""
    return all(
        int.from_bytes(profile[found.end() + 4 : found.end() + 8]) * TRANSLATION <= len(profile)
        for found in re.finditer(b"mluc", profile)
    )
