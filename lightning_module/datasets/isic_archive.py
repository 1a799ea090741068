"""What the ISIC Archive's own client writes (`python -m lightning_module download`): metadata.csv beside the JPEGs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lightning_module.datasets.errors import ALLOW_MISSING, UnknownValues, require_file
from lightning_module.datasets.reading import (
    has_columns,
    image_index,
    keep_present,
    known,
    logger,
    read_csv,
    require_values,
    years,
)
from lightning_module.datasets.table import Table

NAME = "isic_archive"
METADATA = "metadata.csv"
EXPECTED = f"{METADATA} with isic_id and diagnosis_1, and <isic_id>.jpg"
LEVELS = ("diagnosis_1", "diagnosis_2", "diagnosis_3")
OPTIONAL = ("age_approx", "sex", "anatom_site_general", "lesion_id", "patient_id", "attribution", "copyright_license")
VERDICTS = ("Benign", "Malignant", "Indeterminate")


def matches(folder: Path) -> bool:
    """Whether the folder's metadata comes from the archive."""
    return has_columns(folder, (METADATA,), ("isic_id", LEVELS[0]))


def read(folder: Path, metadata: Path | None = None, allow_missing: bool = False) -> Table:
    """The table of the folder; the archive leaves out columns that are empty in the whole download."""
    path = metadata or require_file(folder, (METADATA,))
    rows = read_csv(path, ("isic_id", LEVELS[0]), optional=(*LEVELS[1:], *OPTIONAL))
    rows = rows.reindex(columns=["isic_id", *LEVELS, *OPTIONAL]).apply(known)
    verdict = require_values(rows[LEVELS[0]], VERDICTS, path)
    undecided = ~verdict.isin(VERDICTS[:2])
    dropped = {}
    if undecided.any():
        story = f"{path}: {undecided.sum()} of {len(rows)} rows are neither Benign nor Malignant by diagnosis_1"
        if not allow_missing:
            raise UnknownValues(f"{story}. Pass {ALLOW_MISSING} to drop them.")
        logger.warning("%s. Dropping them.", story)
        dropped["undecided diagnosis"] = int(undecided.sum())
        rows = rows[~undecided]
    images = image_index(folder)
    present, missing = keep_present(
        rows["isic_id"], images, where="<isic_id>.jpg", root=folder, allow_missing=allow_missing
    )
    rows = rows[present]
    return Table.of(
        {
            "path": rows["isic_id"].map(images),
            "diagnosis": _deepest(rows),
            "malignant": rows[LEVELS[0]] == "Malignant",
            "lesion": rows["lesion_id"],
            "patient": rows["patient_id"],
            "age": years(rows["age_approx"], path),
            "sex": rows["sex"].str.lower(),
            "site": rows["anatom_site_general"].str.lower(),
            "source": rows["attribution"],
        },
        root=folder,
        layout=NAME,
        licence=" and ".join(sorted(rows["copyright_license"].dropna().unique())) or "unknown",
        dropped={**dropped, **missing},
    )


def _deepest(rows: pd.DataFrame) -> pd.Series:
    return rows[LEVELS[2]].fillna(rows[LEVELS[1]]).fillna(rows[LEVELS[0]])
