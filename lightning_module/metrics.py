"""The numbers of a report, each with a 95 % interval over lesions or patients, never over single images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor
from torchmetrics.functional import mean_squared_error
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_calibration_error,
    binary_stat_scores,
)

ECE_BINS = 15
LEAST_TPR = 0.8
SAME = 1e-6
"""Replicates that differ by less differ by the rounding of 32 bits."""
NAMES = {
    "auroc": "ROC AUC",
    "average_precision": "Average precision",
    "pauc_above_80_tpr": "Partial AUC above 80 % TPR (0 to 0.2)",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "Positive predictive value",
    "npv": "Negative predictive value",
    "balanced_accuracy": "Balanced accuracy",
    "brier": "Brier score",
    "ece": "Expected calibration error",
}


@dataclass(frozen=True)
class Scores:
    """Truth, calibrated probability and group (patient or lesion) of each image."""

    truth: NDArray[np.bool_]
    probability: NDArray[np.float64]
    group: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Scores:
        return Scores(self.truth[index], self.probability[index], self.group[index])


class Interval(BaseModel, frozen=True):
    """A value and its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def text(self, digits: int = 3) -> str:
        if self.value is None:
            return "n/a"
        # "z": no minus before what is rounded to zero.
        if self.low is None or self.high is None:
            return f"{self.value:z.{digits}f}"
        return f"{self.value:z.{digits}f} [{self.low:z.{digits}f}, {self.high:z.{digits}f}]"


def auroc(scores: Scores) -> float:
    """Area under the ROC curve; nan where only one class is present."""
    if scores.truth.all() or not scores.truth.any():
        return float("nan")
    return float(binary_auroc(*_tensors(scores), validate_args=False))


def ranking(scores: Scores) -> dict[str, float]:
    """What depends on the order of the scores alone; nan where only one class is present."""
    if scores.truth.all() or not scores.truth.any():
        return dict.fromkeys(("auroc", "average_precision", "pauc_above_80_tpr"), float("nan"))
    probability, truth = _tensors(scores)
    return {
        "auroc": auroc(scores),
        "average_precision": float(binary_average_precision(probability, truth, validate_args=False)),
        "pauc_above_80_tpr": _partial_auc(probability, truth),
    }


def _partial_auc(probability: Tensor, truth: Tensor) -> float:
    """Area under the ROC curve above 80 % true positives, as ISIC 2024 scores it: 0 to 0.2, a coin flip is 0.02.

    torchmetrics limits the false positive rate; with both classes exchanged that is the rate of missed positives.
    """
    missed = 1.0 - LEAST_TPR
    standardised = float(binary_auroc(1.0 - probability, 1 - truth, max_fpr=missed, validate_args=False))
    least, most = missed**2 / 2, missed
    return least + (2 * standardised - 1) * (most - least)


def decisions(scores: Scores, threshold: float) -> dict[str, float]:
    """What depends on the threshold; nan where a denominator is empty."""
    called = torch.from_numpy(scores.probability >= threshold).long()
    _, truth = _tensors(scores)
    tp, fp, tn, fn, _ = (float(n) for n in binary_stat_scores(called, truth, validate_args=False))
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
    }


def denominators(scores: Scores, threshold: float) -> dict[str, NDArray[np.bool_]]:
    """The images that each share among `decisions` is a share of."""
    called = scores.probability >= threshold
    return {"sensitivity": scores.truth, "specificity": ~scores.truth, "ppv": called, "npv": ~called}


def calibration(scores: Scores) -> dict[str, float]:
    """How far the probabilities are from the frequencies."""
    probability, truth = _tensors(scores)
    return {
        "brier": float(mean_squared_error(probability, truth.double())),
        "ece": float(binary_calibration_error(probability, truth, n_bins=ECE_BINS, norm="l1", validate_args=False)),
    }


def ece_if_calibrated(scores: Scores, replicates: int = 1000) -> Interval:
    """Mean and interval of the calibration error if the probabilities were right; one draw decides a whole group."""
    _, group = np.unique(scores.group, return_inverse=True)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(replicates):
        truth = random.random(group.max() + 1)[group] < scores.probability
        drawn.append(calibration(Scores(truth, scores.probability, scores.group))["ece"])
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value=float(np.mean(drawn)), low=float(low), high=float(high))


def everything(scores: Scores, threshold: float) -> dict[str, float]:
    """Every metric of the report, by the keys of NAMES."""
    return ranking(scores) | decisions(scores, threshold) | calibration(scores)


def bootstrap(
    scores: Scores,
    statistic: Callable[[Scores], Mapping[str, float]],
    replicates: int = 1000,
    seed: int = 0,
    shares: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, Interval]:
    """Each number of `statistic` with its interval; whole groups are drawn with replacement, never single images.

    `shares` tells which numbers may be shares, and of which images. One of 0 or 1 is that in every replicate, so its
    interval is Clopper and Pearson's over the groups of those images. Where else all replicates agree, there is none.
    """
    point = statistic(scores)
    drawn: dict[str, list[float]] = {name: [] for name in point}
    for rows in bootstrap_samples(scores.group, replicates, seed):
        for name, value in statistic(scores.take(rows)).items():
            drawn[name].append(value)
    found = {name: _interval(value, np.asarray(drawn[name])) for name, value in point.items()}
    for name, images in (shares or {}).items():
        if point.get(name) in (0.0, 1.0):
            found[name] = _exact(point[name], len(np.unique(scores.group[images])))
    return found


def bootstrap_samples(group: NDArray[np.str_], replicates: int, seed: int = 0) -> Iterator[NDArray[np.intp]]:
    """Rows of each replicate: as many groups as there are, drawn with replacement, with all their rows."""
    members = _members(group)
    random = np.random.default_rng(seed)
    for _ in range(replicates):
        yield np.concatenate([members[i] for i in random.integers(0, len(members), len(members))])


def _members(group: NDArray[np.str_]) -> list[NDArray[np.intp]]:
    _, code = np.unique(group, return_inverse=True)
    order = np.argsort(code, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1)


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return Interval(value=None)
    if len(drawn) < 2:
        return Interval(value=value)
    low, high = np.percentile(drawn, [2.5, 97.5])
    if high - low < SAME:
        return Interval(value=value)
    return Interval(value=value, low=float(low), high=float(high))


def _exact(share: float, groups: int) -> Interval:
    """Clopper and Pearson's interval of none or all of so many groups."""
    bound = 0.025 ** (1 / groups)
    return Interval(value=share, low=bound if share else 0.0, high=1.0 if share else 1.0 - bound)


def _tensors(scores: Scores) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(scores.probability), torch.from_numpy(scores.truth.astype(np.int64))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
