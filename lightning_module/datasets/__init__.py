"""Published ISIC layouts, each read as it is downloaded into one validated table.

table = load("data/ham10000")
table.frame[["path", "diagnosis", "malignant", "lesion"]]
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from lightning_module.datasets import (
    class_folders,
    ham10000,
    isic2019,
    isic2024,
    isic_archive,
    ph2,
    provenance,
    siim_isic_2020,
)
from lightning_module.datasets.errors import (
    DatasetError,
    MissingColumns,
    MissingFiles,
    UnknownLayout,
    UnknownValues,
    UnreadableImages,
    contents,
)
from lightning_module.datasets.table import Table

__all__ = [
    "LAYOUTS",
    "DatasetError",
    "MissingColumns",
    "MissingFiles",
    "Table",
    "UnknownLayout",
    "UnknownValues",
    "UnreadableImages",
    "detect",
    "load",
]


class Layout(Protocol):
    """What each file of this folder promises."""

    NAME: str
    EXPECTED: str

    def matches(self, folder: Path) -> bool: ...

    def read(self, folder: Path, metadata: Path | None = None, allow_missing: bool = False) -> Table: ...


LAYOUTS: dict[str, Layout] = {
    module.NAME: module for module in (ham10000, isic2019, siim_isic_2020, isic2024, isic_archive, ph2, class_folders)
}


def load(
    folder: str | Path,
    layout: str = "auto",
    allow_missing: bool = False,
    metadata: str | Path | None = None,
    malignant: Collection[str] | None = None,
) -> Table:
    """The table of a dataset folder as published; `metadata` where the table lies apart from the images.

    Rows whose image is missing are an error; with `allow_missing` they are dropped and counted in `Table.dropped`.
    `malignant` names the malignant classes of plain folders; the other layouts define them.
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
    if malignant is None:
        return provenance.told(LAYOUTS[layout].read(folder, metadata=described, allow_missing=allow_missing))
    if layout != class_folders.NAME:
        raise UnknownValues(f"{folder}: {layout} defines what is malignant; `malignant` is for {class_folders.NAME}.")
    return provenance.told(class_folders.read(folder, described, allow_missing, malignant))


def detect(folder: Path) -> str:
    """The name of the first layout whose marks the folder bears; UnknownLayout lists what each one looks like."""
    for name, module in LAYOUTS.items():
        if module.matches(folder):
            return name
    known_layouts = "\n".join(f"  {name}: {module.EXPECTED}" for name, module in LAYOUTS.items())
    raise UnknownLayout(f"{folder}: holds {contents(folder)}, which is no known layout. Known:\n{known_layouts}")
