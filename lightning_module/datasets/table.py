"""The one table that every loader yields, validated: a row an image."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from lightning_module.datasets.errors import (
    DatasetError,
    MissingColumns,
    MissingFiles,
    UnknownValues,
    UnreadableImages,
    shortened,
)

logger = logging.getLogger(__name__)

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
}
FEATURES = ("age", "sex", "site")
"""The only columns besides the pixels that a model may see; everything else is label, group or provenance."""

SPLITS = ("train", "val", "test")
ARCHIVE_SUFFIX = ".hdf5"
UNKNOWN_WORDS = ("", "unknown", "nan", "none", "n/a", "na", "-1")


@dataclass(frozen=True)
class Fingerprint:
    """Which data this was: changes with any label, group or pixel."""

    name: str
    rows: int
    sha256: str
    licence: str


@dataclass(frozen=True)
class Table:
    """Rows of `frame` (columns DTYPES; unknown is NA) about images under `root`; made by `Table.of`, which validates."""

    frame: pd.DataFrame
    root: Path
    layout: str
    licence: str
    dropped: Mapping[str, int] = field(default_factory=dict)

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

    def take(self, rows: np.ndarray | Sequence[int]) -> Table:
        """The same dataset with only these rows, by position."""
        return replace(self, frame=self.frame.iloc[rows].reset_index(drop=True))

    def image_bytes(self, row: int) -> bytes:
        """The encoded image of a row, by position."""
        path = str(self.frame["path"].iat[row])
        archive, separator, key = path.partition(f"{ARCHIVE_SUFFIX}/")
        if separator:
            return _archived_bytes(self.root / f"{archive}{ARCHIVE_SUFFIX}", key)
        return (self.root / path).read_bytes()

    def fingerprint(self) -> Fingerprint:
        """Digest of all rows and all image bytes, independent of the order of rows and of where the folder lies."""
        rows = sorted(
            f"{line}\x1f{hashlib.sha256(self.image_bytes(row)).hexdigest()}"
            for row, line in enumerate(_lines(self.frame))
        )
        digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        return Fingerprint(self.layout, len(self), digest, self.licence)

    def check_images(self, threads: int | None = None) -> None:
        """Decodes every image as serving would; UnreadableImages lists all that fail, by path."""
        from handler.decode import Limits, decode
        from handler.errors import Rejection

        limits = Limits(max_bytes=2**30, max_pixels=200_000_000, min_side=1)

        def complaint(row: int) -> str | None:
            try:
                decode(self.image_bytes(row), limits, target=32)
            except Rejection as error:
                return error.message
            except (OSError, KeyError) as error:
                return str(error)
            return None

        with ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1)) as pool:
            complaints = list(pool.map(complaint, range(len(self))))
        paths = self.frame["path"].tolist()
        reasons = {path: found for path, found in zip(paths, complaints, strict=True) if found is not None}
        if reasons:
            raise UnreadableImages(reasons, len(self))


def read_csv(path: Path, required: Sequence[str], separator: str = ",") -> pd.DataFrame:
    """Every cell as text, blank for missing; MissingColumns names each required column that is absent."""
    frame = pd.read_csv(path, sep=separator, dtype="string", keep_default_na=False, skipinitialspace=True)
    frame.columns = [str(column).strip().lstrip("\ufeff") for column in frame.columns]
    absent = [column for column in required if column not in frame.columns]
    if absent:
        raise MissingColumns(
            f"{path}: {len(absent)} of {len(required)} expected columns are missing: {', '.join(absent)}. "
            f"Found: {', '.join(frame.columns)}."
        )
    return frame


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
        raise MissingFiles(f"{root}: {story}. Complete the download, or pass allow_missing to drop those rows.")
    logger.warning("%s: %s. Dropping %d rows.", root, story, len(missing))
    return present, {"missing image": len(missing)}


def image_index(root: Path, suffixes: Sequence[str] = (".jpg", ".jpeg")) -> dict[str, str]:
    """Every image below the folder, by its name without suffix; of two with one name, the first in sorted order."""
    found: dict[str, str] = {}
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders.sort()
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in suffixes:
                found.setdefault(stem, (Path(folder) / name).relative_to(root).as_posix())
    return found


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
    return bytes(np.asarray(_archive(path, os.getpid())[key][()]).tobytes())


@lru_cache(maxsize=4)
def _archive(path: Path, process: int):  # type: ignore[no-untyped-def]
    import h5py

    return h5py.File(path, "r")
