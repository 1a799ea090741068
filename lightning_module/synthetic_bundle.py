"""A complete bundle around a network with random weights: for tests and for trying the stack without a model.

make(Path("bundles/synthetic"))
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino as ov
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor, nn

from handler.bundle import CARD, DataFingerprint, Golden, Histogram, Normalisation, Threshold
from handler.decode import Limits, decode
from handler.geometry import Geometry
from handler.notice import NOTICE
from lightning_module import calibration, export, quantise
from lightning_module.metrics import Scores
from lightning_module.packing import INTENDED_USE, code_version, write_manifest, write_weights
from lightning_module.thresholds import at_sensitivity, intervals, rounded_down

SEVEN = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
SEVEN_MALIGNANT = ["akiec", "bcc", "mel"]
SPREAD = 2.0
IMAGES = 48


def make(
    folder: str | Path,
    architecture: str = "small_cnn",
    head: Literal["sigmoid", "softmax"] = "sigmoid",
    size: int = 64,
    seed: int = 0,
) -> Path:
    """Write a bundle whose probabilities mean nothing but are spread out, and return its folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    classes = ["malignant"] if head == "sigmoid" else SEVEN
    trained = _Trained(
        network=_Net(1 if head == "sigmoid" else len(SEVEN)),
        architecture=architecture,
        head=head,
        classes=classes,
        malignant=["malignant"] if head == "sigmoid" else SEVEN_MALIGNANT,
        geometry=Geometry(size=size),
    )
    files = [_lesion(seed * 1000 + i) for i in range(IMAGES)]
    pixels = [trained.geometry.apply(decode(data, Limits(), trained.geometry.target)) for data in files]
    _spread(trained, pixels)

    export.round_to_half(trained.network)
    graph = export.graph(trained.network, size, trained.normalisation.mean, trained.normalisation.std)
    int8 = quantise.int8(graph, pixels[:16])
    export.save(graph, folder / GRAPHS["fp32"], half=True)
    export.save(int8, folder / GRAPHS["int8"], half=True)
    write_weights(trained.network, folder)

    logits = _logits(graph, pixels)
    log_odds = calibration.malignant_log_odds(logits, trained.malignant_indices)
    probability = 1 / (1 + np.exp(-log_odds))
    truth = log_odds + np.random.default_rng(seed).normal(0, 0.5, IMAGES) > 1.0
    golden = []
    (folder / "golden").mkdir(exist_ok=True)
    for i in range(3):
        name = f"golden/{i}.jpg"
        (folder / name).write_bytes(files[i])
        golden.append(Golden(file=name, logits=[float(x) for x in logits[i]]))
    (folder / CARD).write_text(
        f"# Synthetic bundle\n\nRandom weights: its numbers mean nothing.\n\n{NOTICE}\n", encoding="utf-8"
    )

    scores = Scores(truth, probability, np.arange(IMAGES).astype(str))
    thresholds = []
    for sensitivity in (0.9, 0.95):
        value = rounded_down(at_sensitivity(scores, sensitivity))
        found = intervals(scores, value, replicates=50)
        thresholds.append(
            Threshold(
                sensitivity=sensitivity,
                value=value,
                sensitivity_ci=(found["sensitivity"].low, found["sensitivity"].high),
                specificity=found["specificity"].value,
                specificity_ci=(found["specificity"].low, found["specificity"].high),
            )
        )
    counts, edges = np.histogram(probability, bins=20, range=(0.0, 1.0))
    write_manifest(
        folder,
        dict(
            architecture=trained.architecture,
            head=trained.head,
            classes=trained.classes,
            malignant=trained.malignant,
            geometry=trained.geometry,
            normalisation=trained.normalisation,
            thresholds=thresholds,
            familiarity=None,
            reference_scores=Histogram(edges=[round(float(e), 4) for e in edges], counts=counts.tolist()),
            backends=GRAPHS,
            preferred="int8",
            golden=golden,
            data=DataFingerprint(
                name="rendered lesions", rows=IMAGES, sha256=hashlib.sha256(b"".join(files)).hexdigest(), licence="none"
            ),
            code_version=code_version(),
            licence="none: random weights",
            intended_use=INTENDED_USE,
        ),
    )
    return folder


def _spread(trained: _Trained, pixels: list[np.ndarray]) -> None:
    mean, std = torch.tensor(trained.normalisation.mean), torch.tensor(trained.normalisation.std)
    batch = (torch.from_numpy(np.stack(pixels)).float() / 255 - mean) / std
    head = trained.network.head
    with torch.inference_mode():
        logits = trained.network.eval()(batch.permute(0, 3, 1, 2))
    with torch.no_grad():
        head.bias -= logits.mean(0)
        scale = SPREAD / logits.std(0).clamp_min(1e-6)
        head.weight *= scale[:, None]
        head.bias *= scale


@dataclass
class _Trained:
    network: nn.Module
    architecture: str
    head: str
    classes: list[str]
    malignant: list[str]
    geometry: Geometry
    normalisation: Normalisation = field(default_factory=Normalisation)

    @property
    def malignant_indices(self) -> list[int] | None:
        return None if self.head == "sigmoid" else [self.classes.index(name) for name in self.malignant]


def _logits(graph: Any, pixels: list[np.ndarray]) -> Any:
    return ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(np.stack(pixels))["logits"]


GRAPHS = {"int8": "openvino/model.xml", "bf16": "openvino/float.xml", "fp32": "openvino/float.xml"}


class _Net(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Linear(32, outputs)

    def forward_features_and_logits(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(pixels)
        return self.head(features.mean((2, 3))), features

    def forward(self, pixels: Tensor) -> Tensor:
        return self.forward_features_and_logits(pixels)[0]


def _lesion(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (300, 225), tuple(int(c) for c in random.normal((220, 170, 150), 12)))
    draw = ImageDraw.Draw(image)
    x, y, r = random.normal(150, 12), random.normal(112, 10), random.uniform(30, 80)
    draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill=tuple(int(c) for c in random.normal((110, 70, 55), 25)))
    image = image.filter(ImageFilter.GaussianBlur(2))
    noise = random.normal(0, 5, (225, 300, 3))
    image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()
