"""The same metrics by how the truth is known, by sex, age, body site, source and diagnosis: who is served worse."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from lightning_module.metrics import Interval, Scores, auroc, bootstrap, decisions, denominators

AGES = (0, 30, 45, 60, 75, 121)
AGE_BANDS = ("under 30", "30 to 44", "45 to 59", "60 to 74", "75 and over")
CONFIRMED = "Confirmed by"
HISTOLOGY = "histology"
COLUMNS = {"confirmed_by": CONFIRMED, "sex": "Sex", "age_band": "Age", "site": "Body site", "source": "Source"}
FEWEST = 5
"""Malignant, and benign, lesions (patients, if known) below which a subgroup gets no figure: it would mislead."""


class Subgroup(BaseModel, frozen=True):
    """One slice of the test data."""

    kind: str
    name: str
    images: int
    malignant: int
    auroc: Interval
    sensitivity: Interval
    specificity: Interval


class Diagnosis(BaseModel, frozen=True):
    """How often one diagnosis is called malignant at the threshold."""

    name: str
    malignant: bool
    images: int
    called_malignant: Interval


def too_few(grouped_by: str) -> str:
    """What stands instead of a figure."""
    return f"n/a: fewer than {FEWEST} {grouped_by}"


def age_band(age: pd.Series) -> pd.Series:
    """The band of each age; unknown stays unknown."""
    return pd.cut(age.astype("Float64"), AGES, right=False, labels=AGE_BANDS).astype("string")


def by_column(frame: pd.DataFrame, scores: Scores, threshold: float, replicates: int = 1000) -> list[Subgroup]:
    """Every value of each of COLUMNS, unknown ones too."""

    def statistic(sample: Scores) -> dict[str, float]:
        found = decisions(sample, threshold)
        return {
            "auroc": auroc(sample),
            "sensitivity": found["sensitivity"],
            "specificity": found["specificity"],
        }

    found = []
    for kind, name, members in slices(frame):
        sample = scores.take(members)
        measured = bootstrap(sample, statistic, replicates, shares=denominators(sample, threshold))
        intervals = _careful(measured, sample)
        images, malignant = len(sample), int(sample.truth.sum())
        found.append(Subgroup(kind=kind, name=name, images=images, malignant=malignant, **intervals))
    return found


def by_diagnosis(frame: pd.DataFrame, scores: Scores, threshold: float, replicates: int = 1000) -> list[Diagnosis]:
    """The share of each diagnosis that is called malignant, malignant ones first."""

    def statistic(sample: Scores) -> dict[str, float]:
        return {"called": float((sample.probability >= threshold).mean())}

    found = []
    for name in sorted(frame["diagnosis"].unique()):
        sample = scores.take((frame["diagnosis"] == name).to_numpy(dtype=bool))
        everyone = {"called": np.ones(len(sample), dtype=bool)}
        called = bootstrap(sample, statistic, replicates, shares=everyone)["called"]
        malignant = bool(sample.truth.mean() > 0.5)
        found.append(Diagnosis(name=name, malignant=malignant, images=len(sample), called_malignant=called))
    return sorted(found, key=lambda diagnosis: (not diagnosis.malignant, -diagnosis.images))


def slices(frame: pd.DataFrame) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Kind, name and members of each subgroup; a column with a single value makes none, but for CONFIRMED."""
    frame = frame.assign(age_band=age_band(frame["age"]))
    for column, kind in COLUMNS.items():
        values = frame[column].astype("string").fillna("unknown")
        names = list(values.value_counts().index)
        if names == ["unknown"] or (len(names) < 2 and kind != CONFIRMED):
            continue
        if column == "age_band":
            names.sort(key=(*AGE_BANDS, "unknown").index)
        for name in names:
            yield kind, str(name), (values == name).to_numpy(dtype=bool)


def _careful(found: dict[str, Interval], scores: Scores) -> dict[str, Interval]:
    malignant, benign = (len(np.unique(scores.group[members])) for members in (scores.truth, ~scores.truth))
    enough = {
        "auroc": min(malignant, benign) >= FEWEST,
        "sensitivity": malignant >= FEWEST,
        "specificity": benign >= FEWEST,
    }
    return {name: interval if enough[name] else Interval(value=None) for name, interval in found.items()}
