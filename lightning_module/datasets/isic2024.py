"""ISIC 2024 (SLICE-3D): train-metadata.csv with the JPEGs in train-image.hdf5, or in train-image/image.

Of its 55 columns only those below are read: iddx_*, mel_* and tbp_lv_dnn_lesion_confidence give the label away.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from lightning_module.datasets.errors import require_file
from lightning_module.datasets.reading import image_index, keep_present, known, read_csv, require_values, years
from lightning_module.datasets.table import Table

NAME = "isic2024"
LICENCE = "CC BY-NC 4.0"
METADATA = "train-metadata.csv"
ARCHIVE = "train-image.hdf5"
EXPECTED = f"{METADATA} and {ARCHIVE} or train-image/image/<isic_id>.jpg"
COLUMNS = ("isic_id", "target", "patient_id", "age_approx", "sex", "anatom_site_general")
DIAGNOSES = {"0": "benign", "1": "malignant"}


def matches(folder: Path) -> bool:
    """Whether the folder holds the metadata table."""
    return (folder / METADATA).is_file()


def read(folder: Path, metadata: Path | None = None, allow_missing: bool = False) -> Table:
    """The table of the folder, images from the HDF5 file where there is one. The lesion serves as a group only."""
    path = metadata or require_file(folder, (METADATA,))
    rows = read_csv(path, COLUMNS, optional=("lesion_id", "attribution"))
    target = require_values(rows["target"].str.strip(), tuple(DIAGNOSES), path)
    images, where = _images(folder)
    present, dropped = keep_present(rows["isic_id"], images, where=where, root=folder, allow_missing=allow_missing)
    rows, target = rows[present], target[present]
    return Table.of(
        {
            "path": rows["isic_id"].map(images),
            "diagnosis": target.map(DIAGNOSES),
            "malignant": target == "1",
            "lesion": known(rows["lesion_id"]) if "lesion_id" in rows else None,
            "patient": known(rows["patient_id"]),
            "age": years(rows["age_approx"], path),
            "sex": known(rows["sex"]).str.lower(),
            "site": known(rows["anatom_site_general"]).str.lower(),
            "source": known(rows["attribution"]) if "attribution" in rows else NAME,
        },
        root=folder,
        layout=NAME,
        licence=LICENCE,
        dropped=dropped,
    )


def _images(folder: Path) -> tuple[dict[str, str], str]:
    if (folder / ARCHIVE).is_file():
        with h5py.File(folder / ARCHIVE, "r") as archive:
            return {key: f"{ARCHIVE}/{key}" for key in archive}, f"keys <isic_id> in {ARCHIVE}"
    return image_index(folder), f"{ARCHIVE} or train-image/image/<isic_id>.jpg"
