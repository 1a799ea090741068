"""Images drawn for the tests: skin with a lesion, and what is no lesion."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def lesion(seed: int = 0, width: int = 200, height: int = 150) -> Image.Image:
    """A brown patch on mottled skin, sharp enough and well lit."""
    rng = np.random.default_rng(seed)
    skin = np.array([214.0, 168.0, 150.0]) + rng.normal(0, 8, 3)
    grain = np.asarray(
        Image.fromarray(rng.integers(0, 255, (height // 4, width // 4), np.uint8)).resize((width, height))
    )
    pixels = skin + (grain[..., None] / 255 - 0.5) * 24 + rng.normal(0, 3, (height, width, 1))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    mask = Image.new("L", (width, height))
    x, y = width / 2 + rng.normal(0, width / 20), height / 2 + rng.normal(0, height / 20)
    a, b = height * rng.uniform(0.18, 0.32), height * rng.uniform(0.18, 0.32)
    ImageDraw.Draw(mask).ellipse((x - a, y - b, x + a, y + b), fill=220)
    mask = mask.filter(ImageFilter.GaussianBlur(height / 60))
    brown = np.array([110.0, 70.0, 55.0]) + rng.normal(0, 12, 3)
    patch = brown + rng.normal(0, 9, (height, width, 1))
    image.paste(Image.fromarray(patch.clip(0, 255).astype(np.uint8)), mask=mask)
    return image


def noise(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (150, 200, 3), np.uint8))


def page(seed: int = 0) -> Image.Image:
    """A white page with lines of text."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(image)
    for y in range(10, 290, 14):
        draw.text((10, y), " ".join("word" * int(rng.integers(1, 3)) for _ in range(9)), fill="black")
    return image


def scene(seed: int = 0) -> Image.Image:
    """Sky over grass, with boxes."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (320, 240), (110, 160, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 140, 320, 240), fill=(60, 140, 50))
    for _ in range(8):
        x, y = rng.integers(0, 280), rng.integers(60, 200)
        draw.rectangle((x, y, x + 40, y + 30), fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    return image


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


PICTURE = lesion(1)
FILES = {
    "baseline JPEG": encoded(PICTURE, quality=95),
    "progressive JPEG": encoded(PICTURE, quality=95, progressive=True),
    "CMYK JPEG": encoded(PICTURE.convert("CMYK"), quality=95),
    "PNG": encoded(PICTURE, "PNG"),
    "RGBA PNG": encoded(PICTURE.convert("RGBA"), "PNG"),
    "palette PNG": encoded(PICTURE.quantize(256), "PNG"),
    "BMP": encoded(PICTURE, "BMP"),
    "TIFF": encoded(PICTURE, "TIFF"),
    "LZW TIFF": encoded(PICTURE, "TIFF", compression="tiff_lzw"),
    "JPEG in TIFF": encoded(PICTURE, "TIFF", compression="jpeg", quality=95),
    "WebP": encoded(PICTURE, "WEBP", quality=95),
    "lossless WebP": encoded(PICTURE, "WEBP", lossless=True),
    "RGBA WebP": encoded(PICTURE.convert("RGBA"), "WEBP", quality=95),
}
"""The same picture in every format that is read."""
