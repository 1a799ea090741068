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
SHOWN = 2 * COLUMNS
Kind = Literal["missed", "false alarm"]
KINDS: tuple[tuple[Kind, str, str], ...] = (
    ("missed", "Malignant, scored lowest", MALIGNANT),
    ("false alarm", "Benign, scored highest", BENIGN),
)


def errors(evaluation: Evaluation, kind: Kind) -> NDArray[np.intp]:
    """Rows of the malignant images below the served threshold, or of the benign ones that reach it; the worst first."""
    scores = evaluation.scores()
    called = scores.probability >= evaluation.manifest.threshold.value
    if kind == "missed":
        rows = np.flatnonzero(scores.truth & ~called)
        return rows[np.argsort(scores.probability[rows], kind="stable")]
    rows = np.flatnonzero(~scores.truth & called)
    return rows[np.argsort(-scores.probability[rows], kind="stable")]


def sheet(evaluation: Evaluation) -> Figure | None:
    """The worst misses above the worst false alarms, each with its diagnosis and probability; None without errors."""
    found = [(title, colour, errors(evaluation, kind)[:SHOWN]) for kind, title, colour in KINDS]
    shown = [(title, colour, rows) for title, colour, rows in found if len(rows)]
    if not shown:
        return None
    probability = evaluation.scores().probability
    with mpl.rc_context(RULES):
        page = Figure(figsize=(1.45 * COLUMNS, 3.7 * len(shown)), layout="constrained")
        parts: Any = page.subfigures(len(shown), 1, squeeze=False).flat
        for part, (title, colour, rows) in zip(parts, shown, strict=True):
            part.suptitle(title, x=0.005, ha="left", fontsize=10, fontweight="bold", color=colour)
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
