"""The parts that every bundle is put together from, whoever made the network."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from handler.bundle import CARD, MANIFEST, WEIGHTS, Manifest, Normalisation, Precision, digest
from handler.geometry import Geometry

Pixels = NDArray[np.uint8]

INTENDED_USE = (
    "Research on dermoscopic images by trained people: to study, compare and serve skin-lesion classifiers. "
    "Not for diagnosis, screening or treatment decisions, and not for clinical or phone photographs."
)
RESEARCH_ONLY = "CC BY-NC 4.0 (trained on CC BY-NC 4.0 images): research only, no commercial use"
GRAPHS: dict[Precision, str] = {
    "int8": "openvino/model.xml",
    "bf16": "openvino/float.xml",
    "fp32": "openvino/float.xml",
}
HINTS: dict[Precision, str] = {"int8": "f32", "bf16": "bf16", "fp32": "f32"}


@dataclass(frozen=True)
class Trained:
    """A network and what must be known to serve it."""

    network: nn.Module
    architecture: str
    head: Literal["sigmoid", "softmax"]
    classes: list[str]
    malignant: list[str]
    geometry: Geometry
    normalisation: Normalisation = Normalisation()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def malignant_indices(self) -> list[int] | None:
        """Which logits of a softmax speak for malignancy; None for a sigmoid."""
        return None if self.head == "sigmoid" else [self.classes.index(name) for name in self.malignant]


def infer(graph: ov.Model, pixels: Sequence[Pixels], precision: Precision, threads: int = 2) -> tuple[Any, Any]:
    """Logits [N, C] and feature maps [N, h, w, F] of model inputs, in batches of 16."""
    compiled = ov.Core().compile_model(
        graph, "CPU", {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": threads}
    )
    logits, features = [], []
    for start in range(0, len(pixels), 16):
        outputs = compiled(np.stack(pixels[start : start + 16]))
        logits.append(outputs["logits"].copy())
        features.append(outputs["features"].copy())
    return np.concatenate(logits), np.concatenate(features)


def write_weights(network: nn.Module, folder: Path) -> None:
    """weights.safetensors: matrices and filters in 16 bits when they were rounded to them, the rest as they are."""
    tensors = {}
    for name, tensor in network.state_dict().items():
        exact = tensor.ndim > 1 and tensor.is_floating_point() and tensor.equal(tensor.half().to(tensor.dtype))
        tensors[name] = (tensor.half() if exact else tensor).contiguous()
    save_file(tensors, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors makes it private, and a worker may be another user


def write_manifest(folder: Path, **known: Any) -> Manifest:
    """bundle.json, with the sha256 of every file that lies in the folder; validated before it is written."""
    files = {
        path.relative_to(folder).as_posix(): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = Manifest(created=datetime.now(UTC).replace(microsecond=0), files=files, **known)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def write_card(folder: Path, text: str) -> None:
    """MODEL_CARD.md."""
    (folder / CARD).write_text(text, encoding="utf-8")


def code_version() -> str:
    """The commit of this checkout, marked when files differ from it; `unknown` outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
