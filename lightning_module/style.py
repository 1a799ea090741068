"""How every figure of a report looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, FAINT = "#1d2733", "#667085", "#d9dee5"
MODEL, MALIGNANT, BENIGN, OTHER = "#0f766e", "#b42318", "#3b74a8", "#b7791f"

RULES: Any = {
    "figure.dpi": 150,
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": "#98a2b3",
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eceff3",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
    "savefig.facecolor": "white",
}


@contextmanager
def figure(title: str, width: float = 4.2, height: float = 3.5) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes, drawn without a display."""
    with mpl.rc_context(RULES):
        sheet = Figure(figsize=(width, height), layout="constrained")
        axes = sheet.add_subplot()
        axes.set_title(title)
        yield sheet, axes
