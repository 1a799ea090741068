"""Bytes to RGB pixels, within limits that are checked before any pixel is allocated.

The first frame of JPEG, PNG, BMP, TIFF and WebP; upright by its EXIF tag; colours converted to sRGB where a profile is
embedded; transparency laid over white. A JPEG is decoded at the smallest DCT scale that serves the model.
"""

from __future__ import annotations

from io import BytesIO

# Imported so that Pillow need not search its plug-ins during the first request.
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401
from pydantic import BaseModel, ConfigDict, Field

from handler import footprint, jpeg, png, tiff
from handler.colour import to_srgb
from handler.errors import EmptyBody, Rejection, TooLarge, TooManyPixels, TooSmall, TruncatedImage, UnsupportedFormat
from handler.signatures import identify, webp_size

ORIENTATION = 0x0112
RUN_LENGTHS = (BmpImagePlugin.BmpImageFile.COMPRESSIONS["RLE8"], BmpImagePlugin.BmpImageFile.COMPRESSIONS["RLE4"])
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Limits(BaseModel):
    """What a caller may send."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=20 * 2**20, gt=0)
    # Pillow itself refuses more than 178 million.
    max_pixels: int = Field(default=50_000_000, gt=0, le=178_000_000)
    min_side: int = Field(default=32, gt=0)


def decode(data: bytes, limits: Limits, target: int) -> Image.Image:
    """The first frame, upright, as RGB.

    A JPEG may come smaller than it was sent, its short side never below `target`.
    Raises a Rejection, and nothing else, for bytes that are no usable image.
    """
    if not data:
        raise EmptyBody("The body is empty. Send the bytes of one image file.")
    if len(data) > limits.max_bytes:
        raise TooLarge(f"The file has {len(data):,} bytes, the limit is {limits.max_bytes:,}. Send a smaller image.")
    name = identify(data)
    try:
        return _decode(data, name, limits, target)
    except Rejection:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooManyPixels(f"The image has more than {limits.max_pixels:,} pixels. Send a smaller one.") from None
    except Exception:
        # Pillow's parsers raise whatever a damaged file makes them stumble over.
        if name == "TIFF" and (why := tiff.why_unread(data)):
            raise UnsupportedFormat(why) from None
        raise TruncatedImage(f"The {name} file is damaged or incomplete. Send it again, or save it anew.") from None


def _decode(data: bytes, name: str, limits: Limits, target: int) -> Image.Image:
    scanned = jpeg.read_header(data) if name == "JPEG" else None
    _check_header(data, name, limits)
    with Image.open(BytesIO(data), formats=[name]) as image:
        size, beside, turned = image.size, 0, False
        _check_size(*size, limits)
        if scanned is not None:
            scanned.check_scans(data, *size)
            beside = scanned.kept(*size)
            image.draft(None, (target, target))
            # At once, and not in pieces that are put together anew each time.
            image.decodermaxblock = len(data)
        elif isinstance(image, TiffImagePlugin.TiffImageFile):
            tiff.check(image, limits.max_pixels)
            # Pillow turns it by itself, while it holds the strip.
            turned = _turn(image) is not None
            beside = tiff.largest_strip(image) + turned * footprint.stored(image)
        elif isinstance(image, BmpImagePlugin.BmpImageFile) and image.info["compression"] in RUN_LENGTHS:
            # Pillow undoes them in Python, at the pace of seconds a kilobyte.
            raise UnsupportedFormat("Run-length coded BMPs are not read. Save it uncompressed, or as PNG.")
        footprint.check(image, size, beside, turned, limits.max_pixels)
        image.load()
        turn = _turn(image)
        # What follows the pixels of a PNG may turn it.
        footprint.check(image, size, beside, turn is not None, limits.max_pixels)
        return to_srgb(image, turn)


def _check_header(data: bytes, name: str, limits: Limits) -> None:
    if name == "PNG":
        png.check_chunks(data)
    elif name == "TIFF":
        tiff.check_tables(data)
    elif name == "WEBP":
        # Its decoder holds the picture four times.
        _check_size(*webp_size(data), limits.model_copy(update={"max_pixels": limits.max_pixels // 3}))


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"The image is {width} x {height}, the limit is {limits.max_pixels:,} pixels. Send a smaller one."
        )
    if min(width, height) < limits.min_side:
        raise TooSmall(
            f"The image is {width} x {height}, its shorter side must have {limits.min_side} pixels. Send a larger one."
        )


def _turn(image: Image.Image) -> Image.Transpose | None:
    if "exif" not in image.info and not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:
        # A damaged EXIF block does not make the pixels worse.
        return None
