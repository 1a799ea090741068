"""HAM10000 (Tschandl et al. 2018): Kaggle's copy, and Harvard Dataverse's, whose table has no suffix or .tab."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lightning_module.datasets.errors import require_file
from lightning_module.datasets.reading import (
    has_columns,
    image_index,
    keep_present,
    known,
    read_csv,
    require_values,
    years,
)
from lightning_module.datasets.table import Table

NAME = "ham10000"
LICENCE = "CC BY-NC 4.0"
EXPECTED = "HAM10000_metadata.csv and HAM10000_images_part_{1,2}/<image_id>.jpg"
METADATA = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab", "metadata.csv")
COLUMNS = ("lesion_id", "image_id", "dx", "age", "sex", "localization")
CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
MALIGNANT = ("akiec", "bcc", "mel")
CONFIRMATIONS = {"histo": "histology", "follow_up": "follow-up", "confocal": "confocal microscopy"}


def matches(folder: Path) -> bool:
    """Whether the folder's metadata is HAM10000's."""
    return has_columns(folder, METADATA, ("lesion_id", "image_id", "dx"))


def read(folder: Path, metadata: Path | None = None, allow_missing: bool = False) -> Table:
    """The table of the folder, or that of `metadata` about its images. dx_type leaks the label: for subgroups only."""
    path = metadata or require_file(folder, METADATA)
    rows = read_csv(path, COLUMNS, optional=("dataset", "dx_type"))
    diagnosis = require_values(rows["dx"].str.strip(), CLASSES, path)
    images = image_index(folder)
    present, dropped = keep_present(
        rows["image_id"],
        images,
        where="HAM10000_images_part_1/ or HAM10000_images_part_2/<image_id>.jpg",
        root=folder,
        allow_missing=allow_missing,
    )
    rows, diagnosis = rows[present], diagnosis[present]
    return Table.of(
        {
            "path": rows["image_id"].map(images),
            "diagnosis": diagnosis,
            "malignant": diagnosis.isin(MALIGNANT),
            "lesion": known(rows["lesion_id"]),
            "age": years(rows["age"], path),
            "sex": known(rows["sex"]).str.lower(),
            "site": known(rows["localization"]).str.lower(),
            "source": known(rows["dataset"]) if "dataset" in rows else NAME,
            "confirmed_by": known(rows["dx_type"]).replace(CONFIRMATIONS) if "dx_type" in rows else pd.NA,
        },
        root=folder,
        layout=NAME,
        licence=LICENCE,
        dropped=dropped,
    )
