"""Whether an image is sharp and well exposed, judged on the model's own input, at any camera resolution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

THUMBNAIL = 32
# Luminance, red against green, yellow against blue; on the 0..1 scale.
OPPONENTS = np.array([[0.299, 1, 0.5], [0.587, -1, 0.5], [0.114, 0, -1]], np.float32) * np.float32(1 / 255)
# Mean absolute Laplacian over mean absolute gradient: 3 for white noise, 1.2 for the median lesion, below 0.9 for a
# lesion blurred by two pixels. The floor, in grey levels, keeps quantisation noise from passing for detail.
NOISE_RATIO = 3.0
GRADIENT_FLOOR = 1.0
BLACK, WHITE = 16 / 255, 245 / 255
FULL_CONTRAST = 50 / 255


class Look(NamedTuple):
    """What quality and familiarity are judged from: a thumbnail, its opponent colours, and the full luminance."""

    thumbnail: Image.Image
    opponents: NDArray[np.float32]
    luminance: NDArray[np.int16]
    edges: tuple[float, float]
    bends: float


class Quality(NamedTuple):
    """Each from 0, worst, to 1."""

    sharpness: float
    exposure: float


def look(pixels: Pixels) -> Look:
    """Reads one model input once for all that is asked of it."""
    image = Image.fromarray(pixels)
    thumbnail = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX, reducing_gap=1.0)
    luminance = np.asarray(image.convert("L"), np.int16)
    opponents: NDArray[np.float32] = np.asarray(thumbnail, np.float32) @ OPPONENTS
    across, down = _steps(luminance)
    sizes = _mean_size(across), _mean_size(down)
    return Look(thumbnail, opponents, luminance, sizes, _mean_size(_laplacian(across, down)))


def measure(seen: Look) -> Quality:
    """The quality of one image."""
    return Quality(_sharpness(seen), _exposure(seen))


def edges(y: NDArray[np.int16]) -> tuple[float, float]:
    """The mean absolute step from a pixel to its right, and to its lower neighbour."""
    across, down = _steps(y)
    return _mean_size(across), _mean_size(down)


def _steps(y: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    return y[:, 1:] - y[:, :-1], y[1:] - y[:-1]


def _laplacian(across: NDArray[np.int16], down: NDArray[np.int16]) -> NDArray[np.int16]:
    bends = across[1:-1, :-1] - across[1:-1, 1:]
    bends += down[:-1, 1:-1]
    bends -= down[1:, 1:-1]
    return bends


def _mean_size(values: NDArray[np.int16]) -> float:
    # Several times faster than the mean, which adds 16-bit numbers as 64-bit floats.
    return float(np.abs(values).sum(dtype=np.int32)) / max(values.size, 1)


def _sharpness(seen: Look) -> float:
    gradient = sum(seen.edges) / 2
    return min(1.0, seen.bends / (gradient + GRADIENT_FLOOR) / NOISE_RATIO)


def _exposure(seen: Look) -> float:
    rising = np.sort(seen.opponents[..., 0], axis=None)
    dark, bright = np.searchsorted(rising, (BLACK, WHITE))
    usable = (bright - dark) / rising.size
    contrast = rising[rising.size * 95 // 100] - rising[rising.size * 5 // 100]
    return float(usable * min(1.0, contrast / FULL_CONTRAST))
