"""From logits to a calibrated probability, and from that and the image's quality to a label."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handler.manifest import Manifest, QualityLimits

Label = Literal["malignant", "benign", "abstain"]
BLURRED, BADLY_EXPOSED, UNFAMILIAR = "blurred", "badly_exposed", "unfamiliar"
DIGITS = 6

Scores = NDArray[np.float64]


class Calibrated(NamedTuple):
    """Probability of malignancy [N], and for a softmax head that of each class [N, C]."""

    malignant: Scores
    classes: Scores | None


def calibrate(manifest: Manifest, logits: NDArray[np.float32]) -> Calibrated:
    """Probabilities at the manifest's temperature."""
    if not np.isfinite(logits).all():
        # Compared with a threshold it would be benign.
        raise ArithmeticError("the network's answer is not a number")
    scaled = logits.astype(np.float64) / manifest.temperature
    if manifest.head == "sigmoid":
        # Stable for large logits of either sign.
        return Calibrated(0.5 * (1.0 + np.tanh(0.5 * scaled[:, 0])), None)
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    classes = powers / powers.sum(axis=1, keepdims=True)
    # A sum of rounded parts may be a little above one.
    return Calibrated(np.minimum(classes[:, manifest.malignant_indices].sum(axis=1), 1.0), classes)


def reasons(limits: QualityLimits, sharpness: float, exposure: float, familiarity: float) -> list[str]:
    """Why no probability is given; empty when one is."""
    found = (
        (BLURRED, sharpness < limits.min_sharpness),
        (BADLY_EXPOSED, exposure < limits.min_exposure),
        (UNFAMILIAR, familiarity < limits.min_familiarity),
    )
    return [reason for reason, applies in found if applies]


def label(probability: float, threshold: float) -> Label:
    """Malignant at the threshold and above."""
    return "malignant" if probability >= threshold else "benign"
