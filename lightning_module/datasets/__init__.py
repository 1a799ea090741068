"""Published ISIC layouts, each read as it is downloaded into one validated table.

table = load("data/ham10000")
table.frame[["path", "diagnosis", "malignant", "lesion"]]
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from lightning_module.datasets import ham10000
from lightning_module.datasets.errors import (
    DatasetError,
    MissingColumns,
    MissingFiles,
    UnknownLayout,
    UnknownValues,
    UnreadableImages,
    contents,
)
from lightning_module.datasets.table import FEATURES, Fingerprint, Table

__all__ = [
    "FEATURES",
    "LAYOUTS",
    "DatasetError",
    "Fingerprint",
    "MissingColumns",
    "MissingFiles",
    "Table",
    "UnknownLayout",
    "UnknownValues",
    "UnreadableImages",
    "detect",
    "load",
]

LAYOUTS: dict[str, ModuleType] = {module.NAME: module for module in (ham10000,)}


def load(
    folder: str | Path, layout: str = "auto", allow_missing: bool = False, metadata: str | Path | None = None
) -> Table:
    """The table of a dataset folder as published; `metadata` where the table lies apart from the images.

    Rows whose image is missing are an error; with `allow_missing` they are dropped and counted in `Table.dropped`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFiles(f"{folder}: no such folder. Give the folder into which the dataset was unpacked.")
    described = Path(metadata) if metadata else None
    if described is not None and not described.is_file():
        raise MissingFiles(f"{described}: no such metadata file.")
    if layout == "auto":
        layout = detect(described.parent if described else folder)
    if layout not in LAYOUTS:
        raise UnknownLayout(f"Unknown layout {layout!r}. Known: auto, {', '.join(LAYOUTS)}.")
    return LAYOUTS[layout].read(folder, metadata=described, allow_missing=allow_missing)


def detect(folder: Path) -> str:
    """The name of the first layout whose marks the folder bears; UnknownLayout lists what each one looks like."""
    for name, module in LAYOUTS.items():
        if module.matches(folder):
            return name
    known_layouts = "\n".join(f"  {name}: {module.EXPECTED}" for name, module in LAYOUTS.items())
    raise UnknownLayout(f"{folder}: holds {contents(folder)}, which is no known layout. Known:\n{known_layouts}")
