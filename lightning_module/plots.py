"""The figures of a report. None shows a patient's image; the sheet of worst errors is in `failures`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay, precision_recall_curve, roc_curve

from lightning_module import abstention
from lightning_module.evaluation import Evaluation
from lightning_module.metrics import Scores, bootstrap_samples
from lightning_module.report import Report
from lightning_module.style import BENIGN, FAINT, INK, MALIGNANT, MODEL, MUTED, OTHER, figure

GRID = np.linspace(0.0, 1.0, 201)
PREFERENCES = np.linspace(0.01, 0.6, 60)
BAND_REPLICATES = 300

Curve = NDArray[np.float64]


def roc(evaluation: Evaluation, report: Report) -> Figure:
    """ROC curve with its 95 % band and the served threshold."""
    scores = evaluation.scores()
    with figure(f"ROC AUC {report.metrics['auroc'].text()}") as (sheet, axes):
        low, high = _band(scores, _tpr)
        axes.fill_between(GRID, low, high, color=MODEL, alpha=0.15, linewidth=0, label="95 % band")
        fpr, tpr, _ = roc_curve(scores.truth, scores.probability)
        axes.plot(fpr, tpr, color=MODEL, label="model")
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2)
        sensitivity, specificity = report.metrics["sensitivity"].value, report.metrics["specificity"].value
        if sensitivity is not None and specificity is not None:
            axes.plot(1 - specificity, sensitivity, "o", color=INK, markersize=6, label="served threshold")
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1), ylim=(0, 1.01))
        axes.legend(loc="lower right")
    return sheet


def precision_recall(evaluation: Evaluation, report: Report) -> Figure:
    """Precision against sensitivity; the line is the prevalence."""
    scores = evaluation.scores()
    with figure(f"Average precision {report.metrics['average_precision'].text()}") as (sheet, axes):
        low, high = _band(scores, _precision_at)
        axes.fill_between(GRID, low, high, color=MODEL, alpha=0.15, linewidth=0)
        precision, recall, _ = precision_recall_curve(scores.truth, scores.probability)
        axes.plot(recall[:-1], precision[:-1], color=MODEL)
        prevalence = float(scores.truth.mean())
        axes.axhline(prevalence, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.text(0.01, prevalence + 0.015, f"prevalence {prevalence:.2f}", color=MUTED, fontsize=8)
        axes.set(xlabel="sensitivity", ylabel="positive predictive value", xlim=(0, 1), ylim=(0, 1.02))
    return sheet


def reliability(_: Evaluation, report: Report) -> Figure:
    """Observed frequency against predicted probability; the size of a point is its share of the images."""
    filled = [found for found in report.reliability if found.images]
    with figure(f"Calibration error {report.metrics['ece'].text()}") as (sheet, axes):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2)
        predicted, observed = np.array([(found.mean_score, found.share) for found in filled], dtype=float).T
        size = [15 + 400 * math.sqrt(found.images / report.images) for found in filled]
        axes.plot(predicted, observed, color=MODEL, linewidth=1, alpha=0.6)
        axes.scatter(predicted, observed, s=size, color=MODEL, alpha=0.85, edgecolor="white", zorder=3)
        axes.set(xlabel="calibrated probability", ylabel="observed share malignant", xlim=(0, 1), ylim=(0, 1.02))
    return sheet


def score_histogram(evaluation: Evaluation, report: Report) -> Figure:
    """Calibrated probabilities of benign and malignant images, each as a share of its kind."""
    scores = evaluation.scores()
    bins = np.linspace(0, 1, 31)
    with figure("Scores") as (sheet, axes):
        for truth, colour, name in ((False, BENIGN, "benign"), (True, MALIGNANT, "malignant")):
            chosen = scores.probability[scores.truth == truth]
            weights = np.full(len(chosen), 1 / max(len(chosen), 1))
            label = f"{name} ({len(chosen)})"
            axes.hist(chosen, bins.tolist(), weights=weights, color=colour, alpha=0.6, label=label, edgecolor="white")
        axes.axvline(report.threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="served threshold")
        axes.set(xlabel="calibrated probability", ylabel="share of the images of its kind", xlim=(0, 1))
        axes.legend(loc="upper right")
    return sheet


def confusion(evaluation: Evaluation, report: Report) -> Figure:
    """Counts at the served threshold."""
    scores = evaluation.scores()
    with figure(f"At threshold {report.threshold:g}") as (sheet, axes):
        axes.grid(visible=False)
        ConfusionMatrixDisplay.from_predictions(
            scores.truth,
            scores.probability >= report.threshold,
            labels=[False, True],
            display_labels=["benign", "malignant"],
            normalize="true",
            values_format=".1%",
            cmap="BuGn",
            im_kw={"vmin": 0, "vmax": 1.3},
            colorbar=False,
            text_kw={"fontsize": 12, "color": INK},
            ax=axes,
        )
        axes.set(xlabel="model says", ylabel="truth")
        for row, truth in enumerate((False, True)):
            for column, said in enumerate((False, True)):
                count = int(((scores.truth == truth) & ((scores.probability >= report.threshold) == said)).sum())
                axes.text(column, row + 0.2, f"{count}", ha="center", color=INK, fontsize=8)
        axes.tick_params(axis="y", rotation=90)
    return sheet


def decision_curve(evaluation: Evaluation, _: Report) -> Figure:
    """Net benefit over the threshold probability at which one would act."""
    scores = evaluation.scores()
    everyone = Scores(scores.truth, np.ones_like(scores.probability), scores.group)
    with figure("Decision curve") as (sheet, axes):
        low, high = _band(scores, net_benefit)
        axes.fill_between(PREFERENCES, low, high, color=MODEL, alpha=0.15, linewidth=0)
        axes.plot(PREFERENCES, net_benefit(scores), color=MODEL, label="model")
        axes.plot(PREFERENCES, net_benefit(everyone), color=OTHER, linewidth=1.2, label="treat all as malignant")
        axes.axhline(0, color=MUTED, linewidth=1.2, label="treat none")
        top = float(scores.truth.mean()) * 1.15
        axes.set(xlabel="threshold probability", ylabel="net benefit", xlim=(0, 0.6), ylim=(-0.25 * top, top))
        axes.legend(loc="best")
    return sheet


def coverage_risk(evaluation: Evaluation, report: Report) -> Figure:
    """Balanced error on the images that are still answered, as the share answered falls."""
    with figure("Abstention: coverage and risk") as (sheet, axes):
        drawn = abstention.curves(evaluation, report.threshold).items()
        for (name, risk), colour in zip(drawn, (MODEL, OTHER), strict=True):
            axes.plot(abstention.COVERAGES, risk, color=colour, label=name)
        answered = float(evaluation.answered.mean())
        error = report.abstention.balanced_error_answered.value
        if error is not None:
            axes.plot(answered, error, "o", color=INK, markersize=6, label=f"served limits ({answered:.1%} answered)")
        axes.set(xlabel="share of images answered", ylabel="balanced error", xlim=(1.005, 0.495), ylim=(0, None))
        axes.legend(loc="best")
    return sheet


def subgroup_forest(_: Evaluation, report: Report) -> Figure:
    """AUROC of each subgroup with its interval, under the line of all images."""
    shown = [group for group in report.subgroups if group.auroc.value is not None]
    with figure("ROC AUC by subgroup", width=6.4, height=1.2 + 0.24 * len(shown)) as (sheet, axes):
        overall = report.metrics["auroc"].value or 0.0
        axes.axvline(overall, color=MODEL, linewidth=1.2, linestyle=(0, (4, 3)))
        least = overall
        for row, found in enumerate(group.auroc for group in reversed(shown)):
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [row, row], color=MUTED, linewidth=1.4)
                least = min(least, found.low)
            axes.plot(found.value or 0.0, row, "o", color=INK, markersize=4.5)
            least = min(least, found.value or 0.0)
        names = [f"{group.kind}: {group.name}  ({group.malignant} / {group.images})" for group in reversed(shown)]
        axes.set_yticks(range(len(shown)), names)
        axes.set(xlabel="ROC AUC, 95 % interval (malignant / all images)", ylim=(-0.7, max(len(shown), 1) - 0.3))
        # Half a marker beyond the last value that there can be; the ticks stop at it.
        first = min(0.9, math.floor(10 * least) / 10)
        axes.set_xlim(first - 0.01, 1.01)
        axes.set_xticks(np.arange(round(10 * first), 11) / 10)
    return sheet


def precisions(evaluation: Evaluation, report: Report) -> Figure:
    """Probability in the served precision against fp32, image by image."""
    reference = evaluation.scores("fp32" if "fp32" in evaluation.logits else None)
    with figure("Probability by precision") as (sheet, axes):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2)
        for row, colour in zip(report.precisions, (MODEL, OTHER, BENIGN), strict=False):
            if row.precision == "fp32":
                continue
            ours = evaluation.scores(row.precision).probability
            label = f"{row.precision}: largest change {row.largest_change:.3f}"
            axes.scatter(reference.probability, ours, s=7, color=colour, alpha=0.5, linewidth=0, label=label)
        axes.set(xlabel="fp32", ylabel="served precisions", xlim=(0, 1), ylim=(0, 1))
        if len(report.precisions) > 1:
            axes.legend(loc="upper left", markerscale=2)
    return sheet


FIGURES: dict[str, Callable[[Evaluation, Report], Figure]] = {
    "roc": roc,
    "precision_recall": precision_recall,
    "reliability": reliability,
    "scores": score_histogram,
    "confusion": confusion,
    "decision_curve": decision_curve,
    "coverage_risk": coverage_risk,
    "precisions": precisions,
    "subgroups": subgroup_forest,
}


def net_benefit(scores: Scores) -> Curve:
    """True positives less false positives weighted by the odds of each of PREFERENCES, per image."""
    called = scores.probability[None, :] >= PREFERENCES[:, None]
    true = (called & scores.truth).mean(axis=1)
    false = (called & ~scores.truth).mean(axis=1)
    return np.asarray(true - false * PREFERENCES / (1 - PREFERENCES))


def _tpr(scores: Scores) -> Curve:
    fpr, tpr, _ = roc_curve(scores.truth, scores.probability)
    return np.asarray(np.interp(GRID, fpr, tpr))


def _precision_at(scores: Scores) -> Curve:
    precision, recall, _ = precision_recall_curve(scores.truth, scores.probability)
    return np.asarray(np.interp(GRID, recall[::-1], precision[::-1]))


def _band(scores: Scores, curve: Callable[[Scores], Curve]) -> tuple[Curve, Curve]:
    samples = bootstrap_samples(scores.group, BAND_REPLICATES)
    drawn = [curve(scores.take(rows)) for rows in samples if scores.truth[rows].any() and not scores.truth[rows].all()]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return low, high
