"""What the loaders share: tables as text, published spellings of unknown, images found by name."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from lightning_module.datasets.errors import ALLOW_MISSING, MissingColumns, MissingFiles, UnknownValues, shortened

logger = logging.getLogger(__name__)

UNKNOWN_WORDS = ("", "unknown", "nan", "none", "n/a", "na", "-1")


def read_csv(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """These columns, every cell as text; MissingColumns names each required one that is absent."""
    separator = "\t" if path.suffix == ".tab" else ","
    frame = pd.read_csv(
        path, sep=separator, dtype="string", keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig"
    )
    frame.columns = frame.columns.str.strip()
    absent = [column for column in required if column not in frame.columns]
    if absent:
        raise MissingColumns(
            f"{path}: {len(absent)} of {len(required)} expected columns are missing: {', '.join(absent)}. "
            f"Found: {', '.join(frame.columns)}."
        )
    return frame[[column for column in (*required, *optional) if column in frame.columns]]


def has_columns(folder: Path, names: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether the first of these tables that the folder holds has columns of these names."""
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return False
    with path.open(encoding="utf-8-sig") as lines:
        header = lines.readline()
    return all(column in header for column in columns)


def known(column: pd.Series) -> pd.Series:
    """Stripped text with every published spelling of 'unknown' as NA."""
    text = column.astype("string").str.strip()
    return text.mask(text.str.lower().isin(UNKNOWN_WORDS))


def years(column: pd.Series, path: Path) -> pd.Series:
    """Ages as numbers; UnknownValues where one is no number."""
    text = known(column)
    numbers = pd.to_numeric(text, errors="coerce")
    wrong = text[text.notna() & numbers.isna()]
    if len(wrong):
        raise UnknownValues(f"{path}: {len(wrong)} ages are not numbers: {shortened(wrong.unique())}.")
    return numbers.astype("Float32")


def require_values(column: pd.Series, allowed: Sequence[str], path: Path) -> pd.Series:
    """The column itself; UnknownValues counts each value that is not allowed."""
    wrong = column[~column.isin(list(allowed))].dropna()
    if len(wrong):
        counts = ", ".join(f"{value!r} ({count})" for value, count in wrong.value_counts().items())
        raise UnknownValues(
            f"{path}: {len(wrong)} rows have an unknown {column.name}: {counts}. Expected: {', '.join(allowed)}."
        )
    return column


def keep_present(
    names: pd.Series, images: Mapping[str, str], *, where: str, root: Path, allow_missing: bool
) -> tuple[pd.Series, dict[str, int]]:
    """Which rows have an image, and what was dropped; MissingFiles unless missing ones are allowed."""
    present = names.isin(list(images))
    missing = names[~present]
    if missing.empty:
        return present, {}
    story = f"{len(missing)} of {len(names)} images are missing: {shortened(missing)}; expected {where}"
    if not allow_missing:
        raise MissingFiles(f"{root}: {story}. Complete the download, or pass {ALLOW_MISSING} to drop those rows.")
    logger.warning("%s: %s. Dropping %d rows.", root, story, len(missing))
    return present, {"missing image": len(missing)}


def image_index(root: Path, suffixes: Sequence[str] = (".jpg", ".jpeg")) -> dict[str, str]:
    """Every image below the folder, by its name without suffix; of two with one name, the first in sorted order."""
    found: dict[str, str] = {}
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders.sort()
        for name in sorted(names):
            stem, dot, suffix = name.rpartition(".")
            if (dot + suffix).lower() in suffixes:
                found.setdefault(stem, (Path(folder) / name).relative_to(root).as_posix())
    return found
