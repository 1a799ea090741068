"""Writes an evaluation to a folder: report.html, PNGs, metrics.json and predictions.csv; the model card is `card`'s."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from lightning_module import acquaintance, failures, plots, reliability
from lightning_module.datasets import provenance
from lightning_module.evaluation import Evaluation
from lightning_module.metrics import NAMES, Interval
from lightning_module.near_duplicates import REACH
from lightning_module.reference_standard import limitation
from lightning_module.report import Report, intervals, malignant_share
from lightning_module.subgroups import FEWEST, too_few

MARKUP = re.compile(r"[\\`*\[\]<>|&~$]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown does not print as it stands; an underscore within a word is left alone."""
TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("lightning_module"),
    autoescape=jinja2.select_autoescape(["html", "html.j2"]),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["literal"] = lambda text: MARKUP.sub(r"\\\g<0>", " ".join(str(text).split()))
TILES = (
    ("auroc", "ROC AUC"),
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity"),
    ("ece", "Expected calibration error"),
)
DISCRIMINATION = (
    ("roc", "ROC curve; the shading is a 95 % bootstrap band."),
    ("precision_recall", "Precision and recall; the dashed line is the share of malignant images."),
    ("reliability", "Reliability in ten ranges of the score; a larger point stands for more images."),
    ("scores", "Where the scores of benign and malignant images lie."),
    ("confusion", "Confusion matrix at the served threshold, shares of each row."),
    ("decision_curve", "Net benefit against acting on every lesion and on none."),
)
SERVING = (
    ("coverage_risk", "What abstaining from the least familiar or least certain images would buy."),
    ("precisions", "Each point is an image: its probability in a served precision against fp32."),
)
WORST_ERRORS = "worst_errors"
PAIRS_SHOWN = 20


def write(evaluation: Evaluation, report: Report, folder: Path) -> dict[str, Path]:
    """Write everything but the card, and return the PNGs by name. `worst_errors.png`, if any, is of patients."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = figures(evaluation, report, folder / "figures")
    sheet, place = failures.sheet(evaluation), folder / "figures" / f"{WORST_ERRORS}.png"
    place.unlink(missing_ok=True)
    if sheet is not None:
        pictures[WORST_ERRORS] = _save(sheet, place)
    page = TEMPLATES.get_template("report.html.j2").render(
        report=report,
        names=NAMES,
        tiles=TILES,
        discrimination=DISCRIMINATION,
        serving=SERVING,
        fewest=FEWEST,
        share=malignant_share(report),
        reach=REACH,
        too_few=too_few(report.grouped_by),
        figures={name: _data_uri(path) for name, path in pictures.items()},
        number=number,
        percent=percent,
        pairs_shown=PAIRS_SHOWN,
        intervals=intervals(report),
        acquaintance=acquaintance.told(report),
        reference_standard=limitation(report).replace("**", ""),
        reliability=reliability.told(report.reliability_in_the_middle, report.reliability, report.grouped_by),
        errors={kind: len(failures.errors(evaluation, kind)) for kind, *_ in failures.KINDS},
        errors_shown=failures.SHOWN,
        drawn=report.data.name == provenance.DRAWN,
    )
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "metrics.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    table(evaluation).to_csv(folder / "predictions.csv", index=False, float_format="%.9g")
    return pictures


def figures(evaluation: Evaluation, report: Report, folder: Path) -> dict[str, Path]:
    """The figures that show no patient's image, as PNGs in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _save(draw(evaluation, report), folder / f"{name}.png") for name, draw in plots.FIGURES.items()}


def table(evaluation: Evaluation) -> pd.DataFrame:
    """A row an image: truth, the probability in every precision, and the served label."""
    rows = evaluation.frame[["path", "diagnosis", "malignant", "lesion", "patient"]].copy()
    for name in evaluation.logits:
        rows[f"probability_{name}"] = evaluation.scores(name).probability
    rows["label"] = [prediction.label for prediction in evaluation.predictions]
    rows["reasons"] = [" ".join(prediction.reasons) for prediction in evaluation.predictions]
    return rows


def number(value: float | None) -> str:
    """Three digits, or n/a."""
    return "n/a" if value is None else f"{value:.3f}"


def percent(interval: Interval) -> str:
    """A share in percent with its interval."""
    if interval.value is None:
        return "n/a"
    if interval.low is None or interval.high is None:
        return f"{100 * interval.value:.1f} %"
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _save(figure: Figure, path: Path) -> Path:
    # Without the date and version in its metadata, the same figure is the same file.
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
