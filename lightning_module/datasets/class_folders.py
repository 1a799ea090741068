"""Plain folders: train | valid | test, in each a folder a class, in each its images (JPEG, PNG or BMP)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from lightning_module.datasets.errors import MissingFiles, UnknownValues, contents, shortened
from lightning_module.datasets.table import Table

NAME = "class_folders"
LICENCE = "unknown"
EXPECTED = "train/, valid/ and test/, each with a folder of images a class"
SPLITS = {"train": "train", "valid": "val", "val": "val", "validation": "val", "test": "test"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
MALIGNANT = ("akiec", "bcc", "cancer", "dangerous", "malignant", "mel", "melanoma", "scc")
BENIGN = ("benign", "bkl", "df", "naevus", "nevus", "not_dangerous", "not_melanoma", "nv", "vasc")


def matches(folder: Path) -> bool:
    """Whether a split folder with class folders in it is there."""
    return any(_subfolders(split) for split in _subfolders(folder) if split.name in SPLITS)


def read(
    folder: Path,
    metadata: Path | None = None,
    allow_missing: bool = False,
    malignant: Collection[str] | None = None,
) -> Table:
    """The table of the folder; `malignant` names the malignant classes where their names do not say it themselves."""
    if metadata is not None:
        raise UnknownValues(f"{metadata}: folders of classes have no metadata; their names are the labels.")
    splits = [entry for entry in _subfolders(folder) if entry.name in SPLITS]
    if not splits:
        raise MissingFiles(f"{folder}: expected {EXPECTED}; found {contents(folder)}.")
    rows = [
        (image.relative_to(folder).as_posix(), group.name, SPLITS[split.name])
        for split in splits
        for group in _subfolders(split)
        for image in sorted(_files(group))
    ]
    strangers = [path for path, _, _ in rows if not path.lower().endswith(SUFFIXES)]
    strangers += [file.relative_to(folder).as_posix() for split in splits for file in split.iterdir() if _visible(file)]
    if strangers and not allow_missing:
        raise UnknownValues(
            f"{folder}: {len(strangers)} files are no image in a class folder: {shortened(strangers)}. "
            f"Expected <split>/<class>/<name> with {', '.join(SUFFIXES)}."
        )
    return _table(folder, [row for row in rows if row[0] not in strangers], malignant, len(strangers))


def _table(folder: Path, rows: list[tuple[str, str, str]], malignant: Collection[str] | None, strangers: int) -> Table:
    frame = pd.DataFrame(rows, columns=["path", "diagnosis", "split"])
    classes = sorted(frame["diagnosis"].unique())
    trained = set(frame["diagnosis"][frame["split"] == "train"])
    unseen = [name for name in classes if trained and name not in trained]
    if unseen:
        counts = frame["diagnosis"].value_counts()
        listed = ", ".join(f"{name} ({counts[name]})" for name in unseen)
        raise UnknownValues(f"{folder}: classes without a training image: {listed}. In train: {', '.join(trained)}.")
    chosen = _malignant_classes(folder, classes, malignant)
    return Table.of(
        {**frame, "malignant": frame["diagnosis"].isin(chosen), "source": NAME},
        root=folder,
        layout=NAME,
        licence=LICENCE,
        dropped={"no image in a class folder": strangers} if strangers else {},
    )


def _malignant_classes(folder: Path, classes: list[str], malignant: Collection[str] | None) -> list[str]:
    if malignant is not None:
        absent = [name for name in malignant if name not in classes]
        if absent:
            raise UnknownValues(f"{folder}: no class {', '.join(absent)}. Found: {', '.join(classes)}.")
        return list(malignant)
    names = {name: name.lower().replace("-", "_").replace(" ", "_") for name in classes}
    unclear = [name for name, plain in names.items() if plain not in MALIGNANT + BENIGN]
    if unclear:
        raise UnknownValues(
            f"{folder}: whether these {len(unclear)} classes are malignant does not follow from their names: "
            f"{', '.join(unclear)}. Name the malignant ones (--data.malignant_folders of fit, --malignant of evaluate)."
        )
    return [name for name, plain in names.items() if plain in MALIGNANT]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    return [entry for entry in folder.rglob("*") if _visible(entry)]


def _visible(entry: Path) -> bool:
    return entry.is_file() and not entry.name.startswith(".") and entry.name != "Thumbs.db"
