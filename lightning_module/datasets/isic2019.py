"""ISIC 2019: one-hot ground truth beside the metadata. AK and SCC, akiec in HAM10000, are malignant as there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lightning_module.datasets.errors import ALLOW_MISSING, DatasetError, UnknownValues, require_file, shortened
from lightning_module.datasets.reading import image_index, keep_present, known, logger, read_csv, years
from lightning_module.datasets.table import Table

NAME = "isic2019"
LICENCE = "CC BY-NC 4.0"
TRUTH = "ISIC_2019_Training_GroundTruth.csv"
METADATA = "ISIC_2019_Training_Metadata.csv"
EXPECTED = f"{TRUTH}, {METADATA} and ISIC_2019_Training_Input/<image>.jpg"
CLASSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
MALIGNANT = ("mel", "bcc", "ak", "scc")
SOURCES = {"HAM": "ham10000", "BCN": "bcn20000", "MSK": "msk"}


def matches(folder: Path) -> bool:
    """Whether the folder holds the ground truth table."""
    return (folder / TRUTH).is_file()


def read(folder: Path, metadata: Path | None = None, allow_missing: bool = False) -> Table:
    """The table of the folder; `metadata` is the metadata table where it lies elsewhere, the truth beside it."""
    path = metadata or require_file(folder, (METADATA,))
    truth_path = require_file(path.parent, (TRUTH,))
    truth = read_csv(truth_path, ("image", *CLASSES))
    about = read_csv(path, ("image", "age_approx", "anatom_site_general", "lesion_id", "sex"))
    undescribed = truth["image"][~truth["image"].isin(about["image"])]
    if len(undescribed):
        raise DatasetError(
            f"{path}: {len(undescribed)} of {len(truth)} images of {TRUTH} have no row: {shortened(undescribed)}."
        )
    rows = truth[["image"]].assign(diagnosis=_diagnosis(truth, truth_path)).merge(about, on="image", validate="1:1")
    labelled = rows["diagnosis"] != "unk"
    dropped = {}
    if unknown := int((~labelled).sum()):
        story = f"{truth_path}: {unknown} of {len(rows)} rows are of class UNK, which is neither benign nor malignant"
        if not allow_missing:
            raise UnknownValues(f"{story}. Pass {ALLOW_MISSING} to drop them.")
        logger.warning("%s. Dropping them.", story)
        dropped["class UNK"] = unknown
        rows = rows[labelled]
    images = _either_name(image_index(folder), rows["image"])
    present, missing = keep_present(
        rows["image"], images, where="ISIC_2019_Training_Input/<image>.jpg", root=folder, allow_missing=allow_missing
    )
    rows = rows[present]
    lesion = known(rows["lesion_id"])
    return Table.of(
        {
            "path": rows["image"].map(images),
            "diagnosis": rows["diagnosis"],
            "malignant": rows["diagnosis"].isin(MALIGNANT),
            "lesion": lesion,
            "age": years(rows["age_approx"], path),
            "sex": known(rows["sex"]).str.lower(),
            "site": known(rows["anatom_site_general"]).str.lower(),
            "source": lesion.str[:3].map(SOURCES),
        },
        root=folder,
        layout=NAME,
        licence=LICENCE,
        dropped={**dropped, **missing},
    )


def _diagnosis(truth: pd.DataFrame, path: Path) -> pd.Series:
    votes = truth[list(CLASSES)].apply(pd.to_numeric, errors="coerce")
    wrong = truth["image"][(votes.sum(axis=1) != 1) | ~votes.isin([0, 1]).all(axis=1)]
    if len(wrong):
        raise UnknownValues(
            f"{path}: {len(wrong)} of {len(truth)} rows do not mark exactly one of {', '.join(CLASSES)}: "
            f"{shortened(wrong)}."
        )
    diagnosis: pd.Series = votes.idxmax(axis=1).str.lower()
    return diagnosis


def _either_name(images: dict[str, str], names: pd.Series) -> dict[str, str]:
    """Some copies of the dataset have lost or gained the suffix that marks its downsampled images."""
    mark = "_downsampled"
    twins = {name: name.removesuffix(mark) if name.endswith(mark) else name + mark for name in names}
    return {name: images.get(name) or images[twin] for name, twin in twins.items() if name in images or twin in images}
