"""The one table that every loader yields, validated: a row an image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handler.manifest import DataFingerprint
from lightning_module.datasets.errors import DatasetError, UnknownValues, shortened
from lightning_module.datasets.reading import require_values

DTYPES = {
    "path": "string",
    "diagnosis": "string",
    "malignant": "bool",
    "lesion": "string",
    "patient": "string",
    "age": "Float32",
    "sex": "string",
    "site": "string",
    "source": "string",
    "split": "string",
    "confirmed_by": "string",
}
SUBGROUPS_ONLY = ["confirmed_by"]
"""How a diagnosis was confirmed leaks the label. It was read after models had been made, so no fingerprint holds it."""

SPLITS = ("train", "val", "test")
ARCHIVE_SUFFIX = ".hdf5"
_archive_lock = Lock()


@dataclass(frozen=True)
class Table:
    """Rows of `frame` (columns DTYPES; unknown is NA) about the images under `root`; made by `Table.of`."""

    frame: pd.DataFrame
    root: Path
    layout: str
    licence: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    name: str | None = None
    """Whose data it is, where that is not the publisher of the layout."""

    @classmethod
    def of(
        cls,
        columns: Mapping[str, object],
        *,
        root: Path,
        layout: str,
        licence: str,
        dropped: Mapping[str, int] | None = None,
    ) -> Table:
        """A table of these columns, absent ones unknown; a DatasetError where a row contradicts the contract."""
        frame = pd.DataFrame(dict(columns)).reset_index(drop=True)
        if frame.empty:
            raise DatasetError(f"{root}: no row is left of this {layout} dataset.")
        for name in DTYPES:
            if name not in frame:
                frame[name] = pd.NA
        frame = frame[list(DTYPES)].astype(DTYPES)
        _validate(frame, root)
        return cls(frame, root, layout, licence, dict(dropped or {}))

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: NDArray[np.int64] | list[int]) -> Table:
        """The same dataset with only these rows, by position."""
        return replace(self, frame=self.frame.iloc[rows].reset_index(drop=True))

    def image_bytes(self, row: int) -> bytes:
        """The encoded image of a row, by position."""
        path = str(self.frame["path"].iat[row])
        archive, separator, key = path.partition(f"{ARCHIVE_SUFFIX}/")
        if separator:
            return _archived_bytes(self.root / f"{archive}{ARCHIVE_SUFFIX}", key)
        return (self.root / path).read_bytes()

    def fingerprint(self) -> DataFingerprint:
        """Changes with any label, group or pixel; not with SUBGROUPS_ONLY, the order of rows or the place."""
        rows = sorted(
            f"{line}\x1f{hashlib.sha256(self.image_bytes(row)).hexdigest()}"
            for row, line in enumerate(_lines(self.frame.drop(columns=SUBGROUPS_ONLY)))
        )
        digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        return DataFingerprint(name=self.name or self.layout, rows=len(self), sha256=digest, licence=self.licence)


def _validate(frame: pd.DataFrame, root: Path) -> None:
    for column in ("path", "diagnosis"):
        if absent := int(frame[column].isna().sum()):
            raise DatasetError(f"{root}: {absent} rows have no {column}.")
    repeated = frame["path"][frame["path"].duplicated()]
    if len(repeated):
        raise DatasetError(f"{root}: {len(repeated)} images are listed more than once: {shortened(repeated)}.")
    require_values(frame["sex"], ("female", "male"), root)
    require_values(frame["split"], SPLITS, root)
    impossible = frame["age"].dropna()[lambda ages: (ages < 0) | (ages > 120)]
    if len(impossible):
        raise UnknownValues(f"{root}: {len(impossible)} ages lie outside 0 to 120: {shortened(impossible)}.")


def _lines(frame: pd.DataFrame) -> list[str]:
    return ["\x1f".join("" if pd.isna(cell) else str(cell) for cell in row) for row in frame.itertuples(index=False)]


def _archived_bytes(path: Path, key: str) -> bytes:
    # HDF5 handles must not cross a fork, so each process opens its own.
    with _archive_lock:
        return np.asarray(_archive(path, os.getpid())[key][()]).tobytes()


@lru_cache(maxsize=4)
def _archive(path: Path, _process: int) -> h5py.File:
    return h5py.File(path, "r")
