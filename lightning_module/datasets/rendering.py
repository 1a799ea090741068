"""Drawn skin lesions: tone of skin, shape, asymmetry, border, colours, hair and ruler. No photograph is involved.

Malignant looks are more asymmetric, jagged and many-coloured, so a network can learn them; looks overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.float32]
Colour = tuple[int, int, int]

PALE: Colour = (238, 200, 176)
DEEP: Colour = (104, 70, 50)


@dataclass(frozen=True)
class Look:
    """How lesions of one diagnosis tend to be: amplitudes relative to the radius, softness to the image's height."""

    colours: tuple[Colour, ...]
    asymmetry: float
    jaggedness: float
    softness: float
    radius: float


LOOKS = {
    "nv": Look(((120, 75, 50), (95, 60, 42)), 0.06, 0.015, 0.035, 0.24),
    "atypical": Look(((125, 78, 52), (80, 50, 40)), 0.12, 0.05, 0.035, 0.27),
    "bkl": Look(((140, 105, 75), (165, 130, 95)), 0.10, 0.03, 0.012, 0.27),
    "df": Look(((150, 105, 90), (215, 185, 170)), 0.06, 0.02, 0.060, 0.20),
    "vasc": Look(((150, 35, 55), (105, 25, 60)), 0.08, 0.03, 0.020, 0.20),
    "mel": Look(((60, 40, 38), (120, 70, 50), (70, 85, 110), (170, 75, 70)), 0.22, 0.06, 0.020, 0.32),
    "bcc": Look(((205, 130, 125), (165, 95, 100), (120, 105, 120)), 0.20, 0.05, 0.045, 0.27),
    "akiec": Look(((190, 105, 95), (210, 160, 130), (150, 75, 70)), 0.20, 0.06, 0.060, 0.30),
}


def lesion_jpeg(look: str, lesion_seed: int, view_seed: int, size: tuple[int, int]) -> bytes:
    """One view (width, height) of a lesion; views of one lesion differ in pose, light, hair and ruler."""
    buffer = BytesIO()
    draw(look, lesion_seed, view_seed, size).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def draw(look: str, lesion_seed: int, view_seed: int, size: tuple[int, int]) -> Image.Image:
    """The pixels of `lesion_jpeg`, before encoding."""
    body, view = np.random.default_rng(lesion_seed), np.random.default_rng(view_seed)
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    skin = _skin(body, view, size)
    mask, paint = _lesion(LOOKS[look], body, view, x - width / height / 2, y - 0.5, size)
    paint *= 0.3 + 0.7 * skin.mean() / np.mean(PALE)
    pixels = skin * (1 - mask[..., None]) + paint * mask[..., None]
    pixels *= 1 + view.uniform(-0.12, 0.12) + view.uniform(-0.15, 0.15) * (x - 0.5)[..., None]
    pixels += view.normal(0, 2.5, (height, width, 1))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if view.random() < 0.35:
        _hair(ImageDraw.Draw(image), view, size)
    if view.random() < 0.15:
        _ruler(ImageDraw.Draw(image), view, size)
    return image


def _skin(body: np.random.Generator, view: np.random.Generator, size: tuple[int, int]) -> Pixels:
    tone = body.beta(1.2, 2.5)
    base = np.asarray(PALE) * (1 - tone) + np.asarray(DEEP) * tone
    return np.asarray(base * (1 + 0.025 * _clouds(view, size, 6)[..., None]), dtype=np.float32)


def _lesion(
    look: Look, body: np.random.Generator, view: np.random.Generator, x: Pixels, y: Pixels, size: tuple[int, int]
) -> tuple[Pixels, Pixels]:
    x, y = x - np.float32(view.uniform(-0.06, 0.06)), y - np.float32(view.uniform(-0.06, 0.06))
    angle = np.arctan2(y, x) + view.uniform(0, 2 * np.pi)
    distance = np.hypot(x, y)
    spread = body.lognormal(0, 0.35)
    outline = np.ones_like(x)
    for wave in range(1, 13):
        amplitude = look.asymmetry / wave if wave <= 3 else look.jaggedness / 2
        outline += np.float32(spread * amplitude * body.normal()) * np.cos(wave * angle + body.uniform(0, 2 * np.pi))
    radius = look.radius * body.uniform(0.75, 1.25) * view.uniform(0.93, 1.07)
    mask = 1 / (1 + np.exp(np.clip((distance - radius * np.maximum(outline, 0.25)) / (look.softness / 2), -30, 30)))
    paint = np.zeros((*x.shape, 3), dtype=np.float32)
    claims = np.stack([_clouds(body, size, 4) + body.normal(0, 0.5) for _ in look.colours])
    shares = np.exp(4 * (claims - claims.max(axis=0)))
    for share, colour in zip(shares / shares.sum(axis=0), look.colours, strict=True):
        paint += share[..., None] * np.asarray(colour, dtype=np.float32)
    paint *= (1 + 0.07 * _clouds(view, size, 24))[..., None] * np.float32(body.uniform(0.85, 1.15))
    return (0.92 * mask).astype(np.float32), paint


def _clouds(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Pixels:
    """Smooth noise of about unit variance with this many cells a side."""
    coarse = Image.fromarray(rng.normal(0, 1.3, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))


def _hair(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int]) -> None:
    width, height = size
    shade = int(rng.integers(20, 90))
    for _ in range(rng.integers(3, 14)):
        start, bend, end = rng.uniform(-0.1, 1.1, (3, 2)) * (width, height)
        steps = np.linspace(0, 1, 16)[:, None]
        curve = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * bend + steps**2 * end
        canvas.line([(float(px), float(py)) for px, py in curve], fill=(shade, shade - 10, shade - 15), width=1)


def _ruler(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int]) -> None:
    width, height = size
    gap = max(3, round(width * rng.uniform(0.02, 0.05)))
    for mark in range(0, width, gap):
        length = height * (0.06 if mark // gap % 5 == 0 else 0.03)
        canvas.line([(mark, height - length), (mark, height)], fill=(30, 30, 30), width=1)
