"""The images that are sent: drawn lesions in the sizes that dermatoscopes and cameras give."""

from __future__ import annotations

import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = {"600x450": (600, 450), "1024x768": (1024, 768), "6000x4000": (6000, 4000)}
QUALITY = 93
DRAWN = (1024, 768)
COUNT = 4


def make(folder: Path, sizes: tuple[str, ...] = tuple(SIZES)) -> dict[str, list[bytes]]:
    """JPEG files for each size; drawn once and kept in `folder`."""
    return {size: [_payload(folder, size, number) for number in range(COUNT)] for size in sizes}


def _payload(folder: Path, size: str, number: int) -> bytes:
    path = folder / size / f"{number}.jpg"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = sorted(draw(folder / "drawn", COUNT, DRAWN).rglob("*.jpg"))[number]
        path.write_bytes(_photograph(Image.open(drawn), SIZES[size], seed=number))
    return path.read_bytes()


def draw(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """A dataset of drawn lesions; kept, once it is complete."""
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        words = ["synthesize", str(partial), "--count", str(count), "--size", *map(str, size)]
        subprocess.run([sys.executable, "-m", "lightning_module", *words], check=True, stdout=subprocess.DEVNULL)
        partial.rename(folder)
    return folder


def _photograph(image: Image.Image, size: tuple[int, int], seed: int) -> bytes:
    # A sensor's grain, without which an enlarged drawing is far cheaper to decode than a photograph.
    pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    grain = np.random.default_rng(seed).integers(-7, 8, pixels.shape, dtype=np.int16)
    stream = BytesIO()
    photograph = Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
    photograph.save(stream, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return stream.getvalue()
