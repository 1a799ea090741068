"""Small images for the tests: drawn lesions, a blank, and one for every refusal."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from handler.decode import Limits


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=92)
    return stream.getvalue()


def lesion(seed: int) -> bytes:
    """A dark spot on skin."""
    random = np.random.default_rng(seed)
    skin = np.array([225, 180, 160]) + random.normal(0, 6, (150, 200, 3))
    image = Image.fromarray(np.clip(skin, 0, 255).astype(np.uint8))
    x, y, radius = random.uniform(80, 120), random.uniform(60, 90), random.uniform(20, 45)
    colour = tuple(int(value) for value in random.integers(40, 120, 3))
    ImageDraw.Draw(image).ellipse((x - radius, y - radius * 0.8, x + radius, y + radius * 0.8), fill=colour)
    return jpeg(image.filter(ImageFilter.GaussianBlur(1)))


def blank() -> bytes:
    """A covered lens."""
    return jpeg(Image.new("RGB", (200, 200), "black"))


def huge_png(side: int = 20_000) -> bytes:
    """A PNG whose header promises far more pixels than its few bytes hold."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def gif() -> bytes:
    stream = io.BytesIO()
    Image.new("P", (64, 64)).save(stream, "GIF")
    return stream.getvalue()


REFUSED = {
    "empty_body": b"",
    "not_an_image": b"<html>this is not an image</html>",
    "unsupported_format": gif(),
    "truncated_image": lesion(0)[:1500],
    "too_many_pixels": huge_png(),
    "too_large": lesion(0) + bytes(Limits().max_bytes),
    "too_small": jpeg(Image.new("RGB", (8, 8), "brown")),
}
