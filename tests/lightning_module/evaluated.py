"""An evaluation without a network: forty lesions of three diagnoses, two images each, and what a model said of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from handler.bundle import WEIGHTS
from handler.geometry import Geometry
from handler.manifest import DataFingerprint, Histogram, Manifest, Threshold
from handler.predictor import Measured, Model, Prediction
from lightning_module.datasets import Table
from lightning_module.evaluation import Evaluation

SHARE = {"sensitivity_ci": (0.9, 1.0), "specificity": 0.5, "specificity_ci": (0.4, 0.6)}
THRESHOLD = 0.5


def fingerprint(name: str = "ham10000", licence: str = "CC BY-NC 4.0") -> DataFingerprint:
    return DataFingerprint(name=name, rows=80, sha256="a" * 64, licence=licence)


def manifest(data: DataFingerprint) -> Manifest:
    return Manifest(
        created=datetime(2026, 1, 1, tzinfo=UTC),
        architecture="small_cnn",
        head="sigmoid",
        classes=["benign", "malignant"],
        malignant=["malignant"],
        geometry=Geometry(size=64),
        thresholds=[Threshold(sensitivity=0.95, value=THRESHOLD, **SHARE)],
        reference_scores=Histogram(edges=[0.0, 1.0], counts=[80]),
        familiarity=None,
        data=data,
        code_version="test",
        licence=data.licence,
        intended_use="tests",
        files={WEIGHTS: "b" * 64},
    )


def evaluation(data: DataFingerprint) -> Evaluation:
    """Every basal cell carcinoma is found, every mole is let go, half of the melanomas are missed."""
    diagnosis = np.repeat(["bcc", "mel", "nv"], [20, 20, 40])
    logit = np.where(diagnosis == "nv", -2.0, 2.0) + np.linspace(0, 0.5, 80)
    logit[20:30] = -1.5
    frame = pd.DataFrame(
        {
            "path": [f"{number}.jpg" for number in range(80)],
            "diagnosis": diagnosis,
            "malignant": diagnosis != "nv",
            "lesion": [f"L{number // 2}" for number in range(80)],
            "confirmed_by": np.where(np.arange(80) < 60, "histology", "follow-up"),
            "sex": np.tile(["male", "male", "female", "female"], 20),
        }
    )
    table = Table.of(dict(frame), root=Path("nowhere"), layout="ham10000", licence=data.licence)
    said = manifest(data)
    answer = Prediction(
        label="benign",
        probability=0.1,
        threshold=THRESHOLD,
        sensitivity=0.95,
        reasons=[],
        quality=Measured(sharpness=1, exposure=1, familiarity=1),
        model=Model(name="lesion", version="1.0", sha256="c" * 64),
        notice=said.notice,
    )
    logits = logit[:, None].astype(np.float32)
    speed = {"fp32": 1.0}
    return Evaluation(said, "c" * 64, table.frame, table, np.arange(80), "fp32", {"fp32": logits}, [answer] * 80, speed)
