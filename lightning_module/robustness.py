"""Whether the probability hinges on how a file was resized before it was sent."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel

from handler.predictor import Predictor
from lightning_module.evaluation import chunks, probabilities

SIZES = ((600, 450), (300, 225), (200, 150))
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


class Robustness(BaseModel, frozen=True):
    """The spread (largest minus smallest probability) of each image over SIZES."""

    images: int
    sizes: list[str]
    median: float
    ninetieth: float
    largest: float
    below_005: float
    same_label: float
    trained_on: int | None = None
    spreads: list[float]

    @property
    def acquaintance(self) -> str:
        """How many of the images the model was trained on, in words."""
        if self.trained_on is None:
            return "whether the model was trained on them was not checked"
        return f"{self.trained_on} of them under the name of a training image"


def originals(folder: Path) -> dict[str, bytes]:
    """The images of a folder, by name, that are at least as large as the largest of SIZES."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    large = {}
    for path in files:
        with Image.open(path) as image:
            if min(image.size) >= SIZES[0][1]:
                large[path.stem] = path.read_bytes()
    if not large:
        raise ValueError(f"{folder}: no image has a short side of {SIZES[0][1]} pixels; give the published originals")
    return large


def measure(
    folder: str | Path, images: Mapping[str, bytes], threads: int = 2, trained: Collection[str] | None = None
) -> Robustness:
    """Serve each image at three sizes (Lanczos, JPEG quality 95) and compare the probabilities.

    `trained` are the names of the images that were trained on, where they are known.
    """
    predictor = Predictor.load(folder, threads=threads)
    manifest = predictor.manifest
    portions = chunks(list(images.values()))

    def served(short_side: int) -> NDArray[np.float64]:
        logits = [predictor.logits([resized(data, short_side) for data in portion]) for portion in portions]
        return probabilities(manifest, np.concatenate(logits))

    probability = np.stack([served(min(size)) for size in SIZES], axis=1)
    spread = probability.max(axis=1) - probability.min(axis=1)
    malignant = probability >= manifest.threshold.value
    return Robustness(
        images=len(images),
        sizes=[f"{width}x{height}" for width, height in SIZES],
        median=float(np.median(spread)),
        ninetieth=float(np.quantile(spread, 0.9)),
        largest=float(spread.max()),
        below_005=float((spread < 0.05).mean()),
        same_label=float(np.mean([all(a == b for a, b in pairwise(row)) for row in malignant])),
        trained_on=None if trained is None else sum(name in trained for name in images),
        spreads=[round(float(value), 5) for value in spread],
    )


def resized(data: bytes, short_side: int) -> bytes:
    """The image with that short side, as a JPEG."""
    with Image.open(io.BytesIO(data)) as image:
        scale = short_side / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        stream = io.BytesIO()
        image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS).save(stream, "JPEG", quality=95)
    return stream.getvalue()
