"""The card and the page of a report, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightning_module import card, document
from lightning_module.evaluation import Evaluation
from lightning_module.metrics import Interval
from lightning_module.report import Report
from tests.lightning_module import evaluated

REACHED = {"sensitivity": Interval(value=0.96, low=0.9, high=1.0), "specificity": Interval(value=0.5)}


def rendered_card(report: Report, reached: dict[str, Interval] = REACHED, split: dict[str, Any] | None = None) -> str:
    manifest = evaluated.manifest(report.data)
    return card.render(report, manifest, quantisation="", sizes="", validation=[reached], split=split)


def rendered_page(report: Report, folder: Path, monkeypatch: pytest.MonkeyPatch, said: Evaluation | None = None) -> str:
    """The page without its pictures."""
    picture = folder / "picture.png"
    picture.touch()
    monkeypatch.setattr(document, "_save", lambda *_: picture)
    monkeypatch.setattr(document.failures, "sheet", lambda _: object())
    document.write(said or evaluated.evaluation(report.data), report, folder)
    return (folder / "report.html").read_text()
