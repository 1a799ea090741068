"""SIIM-ISIC 2020: Kaggle's train.csv with jpeg/train, its resized copies, and the archive's own ground truth table."""

from __future__ import annotations

from pathlib import Path

from lightning_module.datasets.errors import UnknownValues, require_file, shortened
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

NAME = "siim_isic_2020"
LICENCE = "CC BY-NC 4.0"
EXPECTED = "train.csv (or ISIC_2020_Training_GroundTruth.csv) and jpeg/train/<image_name>.jpg"
METADATA = ("train.csv", "ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv")
COLUMNS = (
    "image_name",
    "patient_id",
    "sex",
    "age_approx",
    "anatom_site_general_challenge",
    "diagnosis",
    "benign_malignant",
    "target",
)
CLASSES = (
    "atypical melanocytic proliferation",
    "cafe-au-lait macule",
    "lentigo NOS",
    "lichenoid keratosis",
    "melanoma",
    "nevus",
    "seborrheic keratosis",
    "solar lentigo",
    "unknown",
)


def matches(folder: Path) -> bool:
    """Whether the folder's table has the columns of this challenge."""
    return has_columns(folder, METADATA, ("image_name", "benign_malignant"))


def read(folder: Path, metadata: Path | None = None, allow_missing: bool = False) -> Table:
    """The table of the folder, or that of `metadata` about its images."""
    path = metadata or require_file(folder, METADATA)
    rows = read_csv(path, COLUMNS, optional=("lesion_id",))
    diagnosis = require_values(rows["diagnosis"].str.strip(), CLASSES, path)
    target = require_values(rows["target"].str.strip(), ("0", "1"), path) == "1"
    contradicted = rows["image_name"][target != (rows["benign_malignant"].str.strip() == "malignant")]
    if len(contradicted):
        raise UnknownValues(
            f"{path}: target and benign_malignant contradict each other in {len(contradicted)} rows: "
            f"{shortened(contradicted)}."
        )
    images = image_index(folder)
    present, dropped = keep_present(
        rows["image_name"], images, where="jpeg/train/<image_name>.jpg", root=folder, allow_missing=allow_missing
    )
    rows = rows[present]
    return Table.of(
        {
            "path": rows["image_name"].map(images),
            "diagnosis": diagnosis[present],
            "malignant": target[present],
            "lesion": known(rows["lesion_id"]) if "lesion_id" in rows else None,
            "patient": known(rows["patient_id"]),
            "age": years(rows["age_approx"], path),
            "sex": known(rows["sex"]).str.lower(),
            "site": known(rows["anatom_site_general_challenge"]).str.lower(),
            "source": NAME,
        },
        root=folder,
        layout=NAME,
        licence=LICENCE,
        dropped=dropped,
    )
