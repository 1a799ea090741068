"""Train, validation and test rows that never share a lesion or a patient."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from lightning_module.datasets.table import Table
from lightning_module.settings import UnfitSetting

Rows = NDArray[np.int64]
GROUPS = ("lesion", "patient")
FINEST = 10
"""Folds that a share is put together from, at most: more would take long and leave rare diagnoses out."""


class LeakError(ValueError):
    """A split cuts through a lesion or a patient, or uses a row twice."""


@dataclass(frozen=True)
class Split:
    """Positions of the rows of a table."""

    train: Rows
    val: Rows
    test: Rows

    def parts(self) -> dict[str, Rows]:
        """The three parts by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


def digests(table: Table, split: Split) -> dict[str, str]:
    """For each part, a digest of which images it holds, independent of their order."""
    paths = table.frame["path"]
    return {
        name: hashlib.sha256("\n".join(sorted(paths.iloc[rows])).encode()).hexdigest()
        for name, rows in split.parts().items()
    }


def other_parts(then: dict[str, str], now: dict[str, str]) -> str:
    """A line on the parts whose images are no longer the same, with what may have caused it; empty where none is."""
    changed = [name for name in now if name in then and then[name] != now[name]]
    if not changed:
        return ""
    return (
        f"The split cannot be made again: {', '.join(changed)} would hold other images than in the training. "
        f"Scikit-learn splits otherwise since 1.8, and this is {sklearn.__version__}: install the training's version."
    )


def group_ids(frame: pd.DataFrame) -> Rows:
    """One number a group: rows that share a lesion or a patient, directly or through other rows, share the number."""
    rows = len(frame)
    edges = [np.arange(rows)]
    nodes = rows
    links = [np.arange(rows)]
    for column in GROUPS:
        codes, names = pd.factorize(frame[column])
        known = np.flatnonzero(codes >= 0)
        edges.append(known)
        links.append(nodes + codes[known])
        nodes += len(names)
    source, target = np.concatenate(edges), np.concatenate(links)
    graph = coo_matrix((np.ones(len(source), dtype=np.int8), (source, target)), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1][:rows], dtype=np.int64)


def grouped(table: Table, test: float = 0.15, val: float = 0.15, seed: int = 0) -> Split:
    """A split by lesion and patient, stratified by diagnosis; published split folders are kept as they are."""
    rest, val_rows, test_rows = _published(table)
    if not len(test_rows):
        rest, test_rows = _held_out(table, rest, test, seed)
    if not len(val_rows):
        rest, val_rows = _held_out(table, rest, min(val / (1 - test), 0.5), seed + 1)
    split = Split(rest, val_rows, test_rows)
    assert_no_leak(table, split)
    return split


def kfold(table: Table, folds: int = 5, test: float = 0.15, seed: int = 0) -> list[Split]:
    """Cross-validation on what one test part, the same for all folds and that of `grouped`, leaves over."""
    if folds < 2:
        raise UnfitSetting(f"Cross-validation takes two folds or more, not {folds}.")
    rest, val_rows, test_rows = _published(table)
    rest = np.sort(np.concatenate([rest, val_rows]))
    if not len(test_rows):
        rest, test_rows = _held_out(table, rest, test, seed)
    splits = []
    for held in _folds(table, rest, folds, seed + 1):
        splits.append(Split(np.setdiff1d(rest, held), held, test_rows))
        assert_no_leak(table, splits[-1])
    return splits


def assert_no_leak(table: Table, split: Split) -> None:
    """LeakError names the groups that lie in more than one part, and the rows that are used twice."""
    parts = split.parts()
    rows = np.concatenate(list(parts.values()))
    names = np.repeat(list(parts), [len(part) for part in parts.values()])
    repeated = pd.Series(rows)[pd.Series(rows).duplicated()].unique()
    if len(repeated):
        raise LeakError(f"{len(repeated)} rows are used twice, for example row {repeated[0]}.")
    for column in GROUPS:
        owner = pd.DataFrame({"group": table.frame[column].to_numpy()[rows], "part": names}).dropna().drop_duplicates()
        cut = owner["group"][owner["group"].duplicated()].unique()
        if len(cut):
            where = " and ".join(owner["part"][owner["group"] == cut[0]])
            raise LeakError(
                f"The split cuts through {len(cut)} {column}s: {column} {cut[0]} lies in {where}. "
                "Split by group (lightning_module.splits.grouped), or score would be inflated."
            )


def one_image_a_lesion(table: Table, rows: Rows, seed: int = 0) -> Rows:
    """These rows with one image, chosen by the seed, of each lesion; rows of unknown lesion all stay."""
    chosen = np.random.default_rng(seed).permutation(rows)
    lesions = table.frame["lesion"].iloc[chosen]
    return np.sort(chosen[~(lesions.duplicated() & lesions.notna()).to_numpy()])


def undersampled(table: Table, rows: Rows, per_site: int = 1, seed: int = 0) -> Rows:
    """These rows with at most `per_site` images of the majority label for each patient and body site.

    The minority label stays whole; where the patient is unknown, the lesion stands for it, else the row itself.
    """
    chosen = np.random.default_rng(seed).permutation(rows)
    frame = table.frame.iloc[chosen]
    owner = frame["patient"].fillna(frame["lesion"]).fillna(pd.Series(chosen, frame.index).astype("string"))
    majority = (frame["malignant"] == (frame["malignant"].mean() > 0.5)).to_numpy()
    rank = frame[majority].groupby([owner[majority], frame["site"].fillna("unknown")[majority]]).cumcount()
    surplus = np.zeros(len(rows), dtype=bool)
    surplus[majority] = (rank >= per_site).to_numpy()
    return np.sort(chosen[~surplus])


def sampling_weights(table: Table, rows: Rows) -> NDArray[np.float64]:
    """A weight for each row so that benign and malignant ones are drawn equally often."""
    values = table.frame["malignant"].iloc[rows]
    return 1.0 / values.map(values.value_counts()).to_numpy(dtype=np.float64)


def _published(table: Table) -> tuple[Rows, Rows, Rows]:
    assigned = table.frame["split"].fillna("train").to_numpy()
    train, val, test = (np.flatnonzero(assigned == name).astype(np.int64) for name in ("train", "val", "test"))
    return train, val, test


def _held_out(table: Table, rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    if share == 0:
        return rows, np.empty(0, dtype=np.int64)
    if not 0 < share <= 0.5:
        raise UnfitSetting(f"A held-out share of {share} makes no sense; give one between 0 and 0.5.")
    groups = len(np.unique(group_ids(table.frame.iloc[rows])))
    cut = Fraction(share).limit_denominator(min(FINEST, max(2, groups // 2)))
    cut = max(cut, Fraction(1, max(2, min(FINEST, groups))))
    held = np.sort(np.concatenate(_folds(table, rows, cut.denominator, seed)[: cut.numerator]))
    return np.setdiff1d(rows, held), held


def _folds(table: Table, rows: Rows, folds: int, seed: int) -> list[Rows]:
    frame = table.frame.iloc[rows]
    groups = group_ids(frame)
    if len(np.unique(groups)) < folds:
        raise UnfitSetting(f"{len(np.unique(groups))} lesions or patients cannot make {folds} folds.")
    strata = _pooled(frame["diagnosis"], _pooled(frame["malignant"].astype("string"), "any", folds), folds)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        return [rows[held] for _, held in splitter.split(rows, strata, groups)]


def _pooled(strata: pd.Series, coarser: pd.Series | str, folds: int) -> pd.Series:
    """Strata with fewer rows than folds give way to the coarser ones, since every fold needs a row of each."""
    return strata.where(strata.map(strata.value_counts()) >= folds, coarser)
