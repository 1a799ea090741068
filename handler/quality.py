"""Whether an image is sharp and well exposed, judged on the model's own input, at any camera resolution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Mean absolute Laplacian over mean absolute gradient: 3 for white noise, 1.5 for the median lesion, below 1.1 for a
# lesion blurred by two pixels. The floor, in grey levels, keeps quantisation noise from passing for detail.
NOISE_RATIO = 3.0
GRADIENT_FLOOR = 0.3
BLACK, WHITE = 16, 245
FULL_CONTRAST = 50.0


class Quality(NamedTuple):
    """Each from 0, worst, to 1."""

    sharpness: float
    exposure: float


def grey(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The luminance of an RGB image, wide enough to subtract."""
    return np.asarray(Image.fromarray(pixels).convert("L"), np.int16)


def measure(luminance: NDArray[np.int16]) -> Quality:
    """The quality of one image, from its `grey`."""
    return Quality(_sharpness(luminance), _exposure(luminance))


def _sharpness(y: NDArray[np.int16]) -> float:
    inner = y[1:-1, 1:-1]
    laplacian = np.abs(4 * inner - y[:-2, 1:-1] - y[2:, 1:-1] - y[1:-1, :-2] - y[1:-1, 2:]).mean()
    gradient = (np.abs(y[1:] - y[:-1]).mean() + np.abs(y[:, 1:] - y[:, :-1]).mean()) / 2
    return min(1.0, float(laplacian / (gradient + GRADIENT_FLOOR)) / NOISE_RATIO)


def _exposure(y: NDArray[np.int16]) -> float:
    counts = np.bincount(y.ravel(), minlength=256)
    rising = np.cumsum(counts) / y.size
    clipped = rising[BLACK - 1] + 1.0 - rising[WHITE]
    contrast = np.searchsorted(rising, 0.95) - np.searchsorted(rising, 0.05)
    return float((1.0 - clipped) * min(1.0, contrast / FULL_CONTRAST))
