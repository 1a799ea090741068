"""A TorchServe that answers each image as the test arranged it, with a model worth looking at."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from typing import Any

import numpy as np
from aiohttp import web
from PIL import Image

from handler.notice import NOTICE
from tests.gateway.fake_torchserve import SHA256, FakeTorchServe

THRESHOLD = 0.142
CARD = """# Model card: lesion 1.0

> **Research use only.**

A resnet18 that reads *one* dermoscopic image. See `handler` and [the data](https://doi.org/10.1038/sdata.2018.161).
What it is made by stands [below](#provenance-and-code).

| On 1,523 test images that nothing was trained on | value [95 % interval] |
|---|---|
| ROC AUC | **0.917 [0.899, 0.934]** |
| Specificity at the served threshold | 0.694 [0.668, 0.719] |

## Intended use

- Research by trained people
- Not for screening

## Subgroups

| Subgroup | Images | Malignant | ROC AUC | Sensitivity |
|---|---|---|---|---|
| sex: female | 702 | 131 | 0.921 [0.894, 0.944] | 0.947 [0.901, 0.981] |
| sex: male | 801 | 166 | 0.913 [0.887, 0.937] | 0.951 [0.912, 0.982] |
| <script>alert(1)</script> | 1 | 0 | | |
| \\*one\\|two\\* \\<i\\> | 77 | 0 | | |

## Operating points

| Chosen for sensitivity | Threshold | Validation: sensitivity | Validation: specificity | Test: sensitivity | Test |
|---|---|---|---|---|---|
| 90 % | 0.1638 | 0.896 [0.856, 0.937] | 0.758 [0.729, 0.789] | 0.849 [0.796, 0.904] | 0.732 [0.702, 0.766] |

## Figures

| | |
|---|---|
| ![roc](figures/roc.png) | ![scores](figures/scores.png) |

## Provenance and `code`

Made by code `abc123`.
"""


def reliability() -> list[dict[str, Any]]:
    """Of the test: many images in the lowest and the highest range, 66 at 0.3, and few from 0.6 on."""
    counted = [(902, 18), (231, 40), (130, 31), (66, 12), (60, 22), (40, 18), (9, 5), (7, 5), (5, 4), (73, 70)]
    return [
        {"lower": i / 10, "upper": (i + 1) / 10, "images": images, "malignant": malignant, "mean_score": i / 10 + 0.05}
        for i, (images, malignant) in enumerate(counted)
    ]


def manifest() -> dict[str, Any]:
    """As the handler describes itself."""
    edges = [round(i / 20, 2) for i in range(21)]
    counts = [702, 221, 120, 78, 61, 44, 38, 30, 27, 24, 19, 17, 16, 15, 13, 14, 16, 18, 21, 29]
    served = {"sensitivity": 0.95, "value": THRESHOLD, "sensitivity_ci": [0.921, 0.972]}
    strict = {"sensitivity": 0.9, "value": 0.231, "sensitivity_ci": [0.861, 0.934]}
    return {
        "schema_version": 1,
        "name": "lesion",
        "version": "1.0",
        "sha256": SHA256,
        "created": "2026-11-21T09:00:00Z",
        "architecture": "resnet18",
        "head": "sigmoid",
        "classes": ["malignant"],
        "malignant": ["malignant"],
        "geometry": {"size": 128, "crop": 1.0},
        "limits": {"max_bytes": 20 * 2**20, "max_pixels": 50_000_000, "min_side": 32},
        "thresholds": [
            {**strict, "specificity": 0.812, "specificity_ci": [0.79, 0.833]},
            {**served, "specificity": 0.694, "specificity_ci": [0.668, 0.719]},
        ],
        "operating_point": 0.95,
        "quality": {"min_sharpness": 0.2, "min_exposure": 0.3, "min_familiarity": 0.1},
        "reference_scores": {"edges": edges, "counts": counts},
        "data": {"name": "rendered lesions", "rows": 1523, "sha256": SHA256, "licence": "none"},
        "licence": "research only",
        "intended_use": "Research on dermoscopic images by trained people. Not for diagnosis or screening.",
        "notice": NOTICE,
        "report": {
            "test": {
                "images": 1523,
                "malignant": 297,
                "sensitivity": {"value": 0.931, "low": 0.884, "high": 0.964},
                "specificity": {"value": 0.688, "low": 0.66, "high": 0.715},
                "flagged": {"value": 0.902, "low": 0.851, "high": 0.943},
                "reliability": reliability(),
            },
            "elsewhere": [{"data": "other_2020", "auroc": {"value": 0.53, "low": 0.42, "high": 0.63}}],
        },
    }


def answer(probability: float | None, *reasons: str, classes: dict[str, float] | None = None) -> dict[str, Any]:
    """The wire's JSON for one image; no probability means that the model abstains for these reasons."""
    label = "abstain" if probability is None else "malignant" if probability >= THRESHOLD else "benign"
    quality = {"sharpness": 0.08 if "blurred" in reasons else 0.82, "exposure": 0.91}
    quality["familiarity"] = 0.03 if "unfamiliar" in reasons else 0.64
    wire: dict[str, Any] = {
        "label": label,
        "probability": probability,
        "threshold": THRESHOLD,
        "sensitivity": 0.95,
        "reasons": list(reasons),
        "quality": quality,
        "model": {"name": "lesion", "version": "1.0", "sha256": SHA256},
        "notice": NOTICE,
    }
    return wire | ({"classes": classes} if classes else {})


def heatmap(peak: int = 166) -> str:
    """A small map with its peak off the centre."""
    y, x = np.mgrid[0:96, 0:96] / 96
    weight = np.exp(-((x - 0.58) ** 2 + (y - 0.45) ** 2) / 0.03)
    alpha = (peak * weight).astype(np.uint8)
    pixels = np.stack([np.full_like(alpha, 255), np.full_like(alpha, 64), np.zeros_like(alpha), alpha], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


class ArrangedTorchServe(FakeTorchServe):
    """`arrange(image, answer)` before the image is sent; what is not an image is refused."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[dict[str, Any], float]] = {}
        super().__init__()

    def arrange(self, image: bytes, wire: dict[str, Any], angle: float = 0.0) -> bytes:
        """Answer this image so, and place its features at this angle to those of the others."""
        self._answers[hashlib.sha256(image).hexdigest()] = (wire, angle)
        return image

    def _answer(self, body: bytes, *, explain: bool) -> web.Response:
        if not body.startswith((b"\xff\xd8", b"\x89PNG")):
            return super()._answer(body, explain=explain)
        wire, angle = self._answers.get(hashlib.sha256(body).hexdigest(), (answer(0.031), 0.0))
        if explain:
            features = [round(math.cos(angle), 5), round(math.sin(angle), 5)]
            mapped = heatmap() if wire["probability"] is not None else None
            wire = {"heatmap": mapped, "features": features} | wire
        return web.json_response(wire)

    async def _describe(self, request: web.Request) -> web.Response:
        workers = [{"id": str(9000 + i), "status": status} for i, status in enumerate(self.workers)]
        queue = {"pendingRequests": 0, "remainingCapacity": 100}
        model: dict[str, Any] = {"modelName": "lesion", "workers": workers, "jobQueueStatus": queue}
        if request.query.get("customized") == "true":
            model["customizedMetadata"] = {"manifest": manifest(), "card": CARD}
        return web.json_response([model])
