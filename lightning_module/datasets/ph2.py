"""PH2 (Mendonca et al. 2013): 200 BMP images and a table drawn with || between its columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lightning_module.datasets.errors import DatasetError, MissingColumns, require_file
from lightning_module.datasets.reading import image_index, keep_present, require_values
from lightning_module.datasets.table import Table

NAME = "ph2"
LICENCE = "PH2 database: research and education only"
METADATA = ("PH2_dataset.txt", "PH2Dataset/PH2_dataset.txt")
IMAGES = "PH2 Dataset images/<name>/<name>_Dermoscopic_Image/<name>.bmp"
EXPECTED = f"PH2Dataset/PH2_dataset.txt and {IMAGES}"
COLUMNS = ("Name", "Clinical Diagnosis")
DIAGNOSES = {"0": "common nevus", "1": "atypical nevus", "2": "melanoma"}


def matches(folder: Path) -> bool:
    """Whether the folder, or PH2Dataset in it, holds the table."""
    return any((folder / name).is_file() for name in METADATA)


def read(folder: Path, metadata: Path | None = None, allow_missing: bool = False) -> Table:
    """The table of the folder: every image is a lesion of its own, and no patient is named."""
    path = metadata or require_file(folder, METADATA)
    rows = _parse(path)
    code = require_values(rows["Clinical Diagnosis"], tuple(DIAGNOSES), path)
    images = image_index(folder, (".bmp",))
    present, dropped = keep_present(rows["Name"], images, where=IMAGES, root=folder, allow_missing=allow_missing)
    names, code = rows["Name"][present], code[present]
    return Table.of(
        {
            "path": names.map(images),
            "diagnosis": code.map(DIAGNOSES),
            "malignant": code == "2",
            "lesion": names,
            "source": NAME,
        },
        root=folder,
        layout=NAME,
        licence=LICENCE,
        dropped=dropped,
    )


def _parse(path: Path) -> pd.DataFrame:
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    table = [
        [cell.strip() for cell in line.strip().strip("|").split("||")]
        for line in lines
        if line.lstrip().startswith("||")
    ]
    header = table[0] if table else []
    absent = [column for column in COLUMNS if column not in header]
    if absent:
        raise MissingColumns(f"{path}: {', '.join(absent)} missing in the header; found: {', '.join(header)}.")
    places = [header.index(column) for column in COLUMNS]
    short = [row for row in table[1:] if len(row) <= max(places)]
    if short:
        raise DatasetError(f"{path}: {len(short)} rows end before Clinical Diagnosis, the first is {short[0]}.")
    return pd.DataFrame([[row[place] for place in places] for row in table[1:]], columns=list(COLUMNS), dtype="string")
