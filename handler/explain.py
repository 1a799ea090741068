"""Where the network found what speaks for malignancy: a class-activation map from the same forward pass."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from handler.bundle import WEIGHTS, Bundle
from handler.errors import BundleError
from handler.manifest import Manifest

HEAD = "head.weight"
COLOUR = (255, 64, 0)
OPACITY = 0.65

LEGEND = (
    "Red marks where the model found what raised its score, relative to the rest of this image. It is no outline of "
    "the lesion, no measure of how sure the model is, and no medical finding; a red area may be an artefact."
)
LEGEND_WITHOUT_HEAD = (
    "Red marks where the network responded most; this network cannot tell what spoke for or against malignancy. It is "
    "no outline of the lesion, no measure of how sure the model is, and no medical finding."
)


class Explainer:
    """Heat maps for one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._manifest = bundle.manifest
        self._weights = _head_weights(bundle)
        self.legend = LEGEND if self._weights is not None else LEGEND_WITHOUT_HEAD

    def heatmap(self, features: NDArray[np.float32], logits: NDArray[np.float32]) -> str:
        """A PNG as a data URI, the size of the model's crop, transparent where nothing speaks for malignancy."""
        if self._weights is not None and self._weights.shape[1] != features.shape[-1]:
            # Dense layers lie between the map and the head, whose rows are then no directions of the map.
            self._weights, self.legend = None, LEGEND_WITHOUT_HEAD
        if self._weights is None:
            evidence = features.mean(-1)
        else:
            evidence = features @ direction(self._manifest, self._weights, logits)
        return _png(np.maximum(evidence, 0.0), self._manifest.geometry.size)


def direction(manifest: Manifest, weights: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """How the log odds of malignancy rise with each feature: the head's row, or for a softmax the malignant rows less
    the others, each weighted by its share of its side's probability.
    """
    if manifest.head == "sigmoid":
        row: NDArray[np.float32] = weights[0]
        return row
    malignant = np.zeros(len(logits), bool)
    malignant[manifest.malignant_indices] = True
    powers = np.exp((logits - logits.max()) / manifest.temperature)
    shares = np.where(malignant, powers / powers[malignant].sum(), 0.0)
    if not malignant.all():
        shares -= np.where(malignant, 0.0, powers / powers[~malignant].sum())
    result: NDArray[np.float32] = shares.astype(np.float32) @ weights
    return result


def _head_weights(bundle: Bundle) -> NDArray[np.float32] | None:
    path = bundle.path(WEIGHTS)
    try:
        with safe_open(path, framework="numpy") as tensors:
            if HEAD not in tensors.keys():  # noqa: SIM118
                return None
            weights = np.asarray(tensors.get_tensor(HEAD), np.float32)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read ({error}): make the bundle again") from None
    return weights if weights.ndim == 2 else None


def _png(evidence: NDArray[np.float32], size: int) -> str:
    strongest = float(evidence.max())
    scaled = evidence / strongest if strongest > 0 else evidence
    mask = Image.fromarray((scaled * 255 * OPACITY).astype(np.uint8))
    overlay = Image.new("RGBA", (size, size), (*COLOUR, 0))
    overlay.putalpha(mask.resize((size, size), Image.Resampling.BICUBIC))
    stream = BytesIO()
    overlay.save(stream, "PNG", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
