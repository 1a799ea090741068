"""The sheet of worst errors: images of patients, so it is written beside the local report and nowhere else."""

from __future__ import annotations

import io
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from lightning_module.evaluation import Evaluation
from lightning_module.style import BENIGN, INK, MALIGNANT, RULES

COLUMNS = 8
Kind = Literal["missed", "false alarm"]


def worst(evaluation: Evaluation, kind: Kind, count: int) -> NDArray[np.intp]:
    """Rows of the malignant images with the lowest probability, or of the benign ones with the highest."""
    scores = evaluation.scores()
    if kind == "missed":
        rows = np.flatnonzero(scores.truth)
        return rows[np.argsort(scores.probability[rows], kind="stable")][:count]
    rows = np.flatnonzero(~scores.truth)
    return rows[np.argsort(-scores.probability[rows], kind="stable")][:count]


def sheet(evaluation: Evaluation) -> Figure:
    """The worst misses above the worst false alarms, each with its diagnosis and probability."""
    probability = evaluation.scores().probability
    kinds: tuple[tuple[Kind, str, str], ...] = (
        ("missed", "Malignant, scored lowest", MALIGNANT),
        ("false alarm", "Benign, scored highest", BENIGN),
    )
    with mpl.rc_context(RULES):
        page = Figure(figsize=(1.45 * COLUMNS, 7.4), layout="constrained")
        halves: Any = page.subfigures(2, 1)
        for part, (kind, title, colour) in zip(halves, kinds, strict=True):
            part.suptitle(title, x=0.005, ha="left", fontsize=10, fontweight="bold", color=colour)
            rows = worst(evaluation, kind, 2 * COLUMNS)
            for cell, axes in enumerate(part.subplots(2, COLUMNS).flat):
                axes.axis("off")
                if cell >= len(rows):
                    continue
                row = int(rows[cell])
                axes.imshow(_thumbnail(evaluation, row))
                said = f"{evaluation.frame['diagnosis'].iat[row]}  {probability[row]:.3f}"
                axes.set_title(said, fontsize=7.5, fontweight="normal", loc="center", pad=3, color=INK)
    return page


def _thumbnail(evaluation: Evaluation, row: int) -> Image.Image:
    data = evaluation.table.image_bytes(int(evaluation.rows[row]))
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB")
        small.thumbnail((220, 220))
    return small
