"""A manifest that says all it must, for tests that need no bundle."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from handler.manifest import Manifest


def manifest(**changes: Any) -> Manifest:
    interval = {"sensitivity_ci": (0.9, 1.0), "specificity": 0.5, "specificity_ci": (0.4, 0.6)}
    known: dict[str, Any] = {
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "architecture": "resnet18",
        "head": "sigmoid",
        "classes": ["malignant"],
        "malignant": ["malignant"],
        "geometry": {"size": 64},
        "thresholds": [{"sensitivity": 0.9, "value": 0.3, **interval}, {"sensitivity": 0.95, "value": 0.2, **interval}],
        "familiarity": None,
        "reference_scores": {"edges": [0.0, 0.5, 1.0], "counts": [3, 1]},
        "data": {"name": "none", "rows": 0, "sha256": "0" * 64, "licence": "none"},
        "code_version": "test",
        "licence": "none",
        "intended_use": "tests",
        "files": {},
    }
    return Manifest.model_validate(known | changes)
