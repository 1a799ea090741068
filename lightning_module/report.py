"""The evaluation of a bundle as one typed record: what metrics.json, report.html and the model card are made from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import BaseModel

from handler.backends import processor
from handler.bundle import WEIGHTS
from handler.manifest import DataFingerprint, Precision, Threshold
from handler.notice import NOTICE
from lightning_module import abstention, reliability, subgroups
from lightning_module.abstention import Abstention
from lightning_module.evaluation import Evaluation
from lightning_module.metrics import (
    ECE_BINS,
    Interval,
    Scores,
    auroc,
    bootstrap,
    decisions,
    denominators,
    ece_if_calibrated,
    everything,
)
from lightning_module.near_duplicates import Pair
from lightning_module.reliability import Reliability
from lightning_module.robustness import Robustness
from lightning_module.subgroups import Diagnosis, Subgroup

GROUPS = "groups"
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")


class PrecisionReport(BaseModel, frozen=True):
    """One precision, compared with fp32 on the same images."""

    precision: Precision
    metrics: dict[str, Interval]
    auroc_change: Interval
    largest_change: float
    median_change: float
    labels_changed: int
    images_per_second: float


class OperatingPoint(BaseModel, frozen=True):
    """A threshold of the bundle, and what it does on this data."""

    chosen: Threshold
    served: bool
    metrics: dict[str, Interval]


class Report(BaseModel, frozen=True):
    """Everything that was measured, with 95 % intervals by bootstrap over groups."""

    notice: str = NOTICE
    created: datetime
    model: dict[str, Any]
    data: DataFingerprint
    split: str
    external: bool
    images: int
    groups: int
    grouped_by: str
    malignant: int
    replicates: int
    ece_bins: int = ECE_BINS
    served: Precision
    processor: str
    threshold: float
    metrics: dict[str, Interval]
    operating_points: list[OperatingPoint]
    precisions: list[PrecisionReport]
    melanoma: Interval | None
    ece_if_calibrated: Interval
    reliability: list[Reliability]
    reliability_in_the_middle: Reliability
    subgroups: list[Subgroup]
    diagnoses: list[Diagnosis]
    abstention: Abstention
    robustness: Robustness | None = None
    near_duplicates: list[Pair] | None = None

    @property
    def of_groups(self) -> str:
        """Whose images they are, where the data tells."""
        return "" if self.grouped_by == "images" else f" of {self.groups:,} {self.grouped_by}"


def compose(
    evaluation: Evaluation,
    data: DataFingerprint,
    split: str,
    robustness: Robustness | None = None,
    replicates: int = 1000,
    near_duplicates: list[Pair] | None = None,
) -> Report:
    """Measure everything on the rows of an evaluation; `near_duplicates` are those across the parts of its split."""
    manifest, scores = evaluation.manifest, evaluation.scores()
    threshold = manifest.threshold.value
    return Report(
        created=datetime.now(UTC).replace(microsecond=0),
        model={
            "name": manifest.name,
            "version": manifest.version,
            "sha256": evaluation.sha256,
            "weights_sha256": manifest.files[WEIGHTS],
            "architecture": manifest.architecture,
            "code_version": manifest.code_version,
            "temperature": manifest.temperature,
        },
        data=data,
        split=split,
        external=data.sha256 != manifest.data.sha256,
        images=len(scores),
        groups=len(np.unique(scores.group)),
        grouped_by=_grouped_by(evaluation),
        malignant=int(scores.truth.sum()),
        replicates=replicates,
        served=evaluation.served,
        processor=processor.name(),
        threshold=threshold,
        metrics=_everything(scores, threshold, replicates),
        operating_points=[_operating_point(scores, point, threshold, replicates) for point in manifest.thresholds],
        precisions=[_precision(evaluation, name, replicates) for name in _served_first(evaluation)],
        melanoma=_melanoma(evaluation, replicates),
        ece_if_calibrated=ece_if_calibrated(scores, replicates),
        reliability=reliability.by_range(scores, replicates),
        reliability_in_the_middle=reliability.middle(scores, replicates),
        subgroups=subgroups.by_column(evaluation.frame, scores, threshold, replicates),
        diagnoses=subgroups.by_diagnosis(evaluation.frame, scores, threshold, replicates),
        abstention=abstention.measure(evaluation, threshold, replicates),
        robustness=robustness,
        near_duplicates=near_duplicates,
    )


def headline(report: Report) -> dict[str, Any]:
    """The few numbers that travel in the bundle's manifest."""
    names = ("auroc", "average_precision", "sensitivity", "specificity", "ece", "brier")
    return {
        "data": report.data.name,
        "split": report.split,
        "images": report.images,
        "groups": report.groups,
        "malignant": report.malignant,
        "precision": report.served,
        "flagged": report.abstention.flagged.model_dump(),
    } | {name: report.metrics[name].model_dump() for name in names}


def intervals(report: Report) -> str:
    """How the intervals in brackets were made, in a sentence or two."""
    groups = report.grouped_by
    not_images = "" if groups == "images" else ", not images"
    if groups == GROUPS:
        not_images = " (the images of one lesion or patient where the data names it, else a single image)"
    return (
        f"Brackets hold 95 % intervals: percentiles of {report.replicates:,} bootstrap replicates that draw whole "
        f"{groups}{not_images}. A share of exactly 0 or 1 is that in every replicate: its interval is that of Clopper "
        f"and Pearson, over the {groups} that it is a share of. They hold the chance of the test sample only: behind "
        f"all figures stands one network, of one split and one seed."
    )


def malignant_share(report: Report) -> str:
    """What predictive values depend on."""
    return f"{100 * report.malignant / report.images:.0f} % malignant"


def _grouped_by(evaluation: Evaluation) -> str:
    known = evaluation.frame[["patient", "lesion"]].notna()
    if known["patient"].all():
        return "patients"
    if known["patient"].any() or not known["lesion"].all():
        return GROUPS if known.any(axis=None) else "images"
    return "lesions"


def _served_first(evaluation: Evaluation) -> list[Precision]:
    return sorted(evaluation.logits, key=lambda name: (name != evaluation.served, PRECISIONS.index(name)))


def _everything(scores: Scores, threshold: float, replicates: int) -> dict[str, Interval]:
    shares = denominators(scores, threshold)
    return bootstrap(scores, lambda sample: everything(sample, threshold), replicates, shares=shares)


def _operating_point(scores: Scores, point: Threshold, served: float, replicates: int) -> OperatingPoint:
    shares = denominators(scores, point.value)
    found = bootstrap(scores, lambda sample: decisions(sample, point.value), replicates, shares=shares)
    return OperatingPoint(chosen=point, served=point.value == served, metrics=found)


def _precision(evaluation: Evaluation, name: Precision, replicates: int) -> PrecisionReport:
    reference = "fp32" if "fp32" in evaluation.logits else evaluation.served
    ours, theirs = evaluation.scores(name), evaluation.scores(reference)
    threshold = evaluation.manifest.threshold.value
    both = Scores(ours.truth, np.stack([ours.probability, theirs.probability], axis=1), ours.group)

    def change(sample: Scores) -> dict[str, float]:
        pair = (Scores(sample.truth, sample.probability[:, column], sample.group) for column in (0, 1))
        mine, reference = (auroc(scores) for scores in pair)
        return {"auroc_change": mine - reference}

    moved = np.abs(ours.probability - theirs.probability)
    return PrecisionReport(
        precision=name,
        metrics=_everything(ours, threshold, replicates),
        auroc_change=bootstrap(both, change, replicates)["auroc_change"],
        largest_change=float(moved.max()),
        median_change=float(np.median(moved)),
        labels_changed=int(((ours.probability >= threshold) != (theirs.probability >= threshold)).sum()),
        images_per_second=round(evaluation.images_per_second[name], 1),
    )


def _melanoma(evaluation: Evaluation, replicates: int) -> Interval | None:
    """AUROC of melanoma against benign lesions alone, where the data names melanoma."""
    scores = evaluation.scores()
    melanoma = evaluation.frame["diagnosis"].str.lower().isin(["mel", "melanoma"]).to_numpy(dtype=bool)
    if not melanoma.any() or (melanoma == scores.truth).all():
        return None
    return bootstrap(scores.take(melanoma | ~scores.truth), lambda sample: {"auroc": auroc(sample)}, replicates)[
        "auroc"
    ]
