"""Whose images a folder holds: the publisher's, drawn ones, or somebody's own in a publisher's layout."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lightning_module.datasets.table import Table

MARKER = "DRAWN.txt"
MARK = "Every image here is drawn by `python -m lightning_module synthesize`: none is of a person.\n"
DRAWN = "synthetic"
PUBLISHED = {
    "ham10000": ("ISIC_", range(24_306, 34_321)),
    "isic2019": ("ISIC_", range(10**7)),
    "siim_isic_2020": ("ISIC_", range(10**7)),
    "isic2024": ("ISIC_", range(10**7)),
    "ph2": ("IMD", range(1_000)),
}
"""How each publisher numbers its images. Folders of classes and downloads from the archive claim no publisher."""


def told(table: Table) -> Table:
    """The table under the name and licence of whose images these are."""
    if (table.root / MARKER).is_file():
        return replace(table, name=DRAWN, licence="drawn by this program")
    if table.layout not in PUBLISHED or all(_published(path, table.layout) for path in table.frame["path"]):
        return table
    return replace(table, name=f"data in the layout of {table.layout}", licence="licence of its owner")


def _published(path: str, layout: str) -> bool:
    prefix, numbers = PUBLISHED[layout]
    found = re.fullmatch(rf"{prefix}(\d+)(_downsampled)?", Path(path).stem)
    return found is not None and int(found[1]) in numbers
