"""What is odd about data and split, told before it is trained on."""

from __future__ import annotations

import numpy as np

from lightning_module.datasets.errors import DatasetError, shortened
from lightning_module.datasets.table import Table
from lightning_module.splits import FINEST, Rows, Split

NEAR = 0.005


def require_both(table: Table, rows: Rows) -> None:
    """DatasetError where there are no training images, or all are benign, or all malignant."""
    if not len(rows):
        raise DatasetError(f"{table.root}: no image is left to train on; all are held out for validation and test.")
    malignant = table.frame["malignant"].to_numpy(dtype=bool)[rows]
    if len(np.unique(malignant)) < 2:
        kind = "malignant" if malignant.all() else "benign"
        raise DatasetError(
            f"{table.root}: all {len(rows):,} images to train on are {kind}; both benign and malignant ones are needed."
        )


def remarks(table: Table, split: Split, shares: dict[str, float]) -> list[str]:
    """A line for each oddity; `shares` are what was asked for, by part."""
    return [line for line in (_unmet(table, split, shares), _disputed(table)) if line]


def _unmet(table: Table, split: Split, shares: dict[str, float]) -> str:
    published = set(table.frame["split"].dropna())
    parts = split.parts()
    found = {name: len(parts[name]) / len(table) for name in shares if name not in published}
    unmet = [name for name in found if abs(found[name] - shares[name]) > NEAR]
    if not unmet:
        return ""
    told = " and ".join(
        f"{name} is {found[name]:.1%} of the images ({len(parts[name]):,}), not {shares[name]:.1%}" for name in unmet
    )
    return f"{told}: lesions and patients stay whole, and a share is put together from at most {FINEST} folds."


def _disputed(table: Table) -> str:
    named = table.frame.dropna(subset=["lesion"]).groupby("lesion")
    diagnoses = named["diagnosis"].unique()
    several = diagnoses[diagnoses.map(len) > 1]
    if several.empty:
        return ""
    both = int((named["malignant"].nunique()[several.index] > 1).sum())
    examples = shortened(f"{lesion} ({', '.join(sorted(names))})" for lesion, names in several.items())
    return (
        f"{len(several):,} of {len(diagnoses):,} lesions have more than one diagnosis, {both:,} of them benign in one "
        f"image and malignant in another: {examples}. Mend the table if that is a mistake."
    )
