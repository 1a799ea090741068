"""Writes drawn records in the layouts that the loaders read, with the file and column names of the publishers."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

HAM = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


@dataclass(frozen=True)
class Record:
    """One drawn image; `label` is one of the layout's own classes, `number` and the ids count from zero."""

    number: int
    label: str
    lesion: int
    patient: int
    age: int
    sex: str
    site: str
    jpeg: bytes

    @property
    def name(self) -> str:
        """The image's id in the style of the ISIC archive."""
        return f"ISIC_{self.number:07d}"


@dataclass(frozen=True)
class Publisher:
    """A layout: which look stands for each of its classes, and how its files are written."""

    looks: dict[str, str]
    write: Callable[[Path, Sequence[Record]], None]


def _kaggle(folder: Path, records: Sequence[Record]) -> None:
    rows = [(f"HAM_{r.lesion:07d}", r.name, r.label, "histo", f"{r.age}.0", r.sex, r.site) for r in records]
    _table(folder / "HAM10000_metadata.csv", HAM, rows)
    _halves(folder, records)


def _dataverse(folder: Path, records: Sequence[Record]) -> None:
    rows = [
        (f"HAM_{r.lesion:07d}", r.name, r.label, "histo", f"{r.age}.0", r.sex, r.site, "vidir_modern") for r in records
    ]
    _table(folder / "HAM10000_metadata", (*HAM, "dataset"), rows)
    _halves(folder, records)


def _halves(folder: Path, records: Sequence[Record]) -> None:
    for part, half in ((1, records[::2]), (2, records[1::2])):
        _images(folder / f"HAM10000_images_part_{part}", half)


def _isic2019(folder: Path, records: Sequence[Record]) -> None:
    classes = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
    truth = [(r.name, *(f"{float(r.label == name):.1f}" for name in classes)) for r in records]
    about = [(r.name, f"{r.age}.0", r.site, f"BCN_{r.lesion:07d}" if r.lesion % 5 else "", r.sex) for r in records]
    _table(folder / "ISIC_2019_Training_GroundTruth.csv", ("image", *classes), truth)
    columns = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")
    _table(folder / "ISIC_2019_Training_Metadata.csv", columns, about)
    _images(folder / "ISIC_2019_Training_Input", records)


def _siim(folder: Path, records: Sequence[Record]) -> None:
    columns = (
        *("image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge"),
        *("diagnosis", "benign_malignant", "target"),
    )
    rows = []
    for r in records:
        malignant = r.label == "melanoma"
        verdict = ("malignant", 1) if malignant else ("benign", 0)
        rows.append((r.name, f"IP_{r.patient:07d}", r.sex, f"{r.age}.0", r.site, r.label, *verdict))
    _table(folder / "train.csv", columns, rows)
    _images(folder / "jpeg" / "train", records)


def _isic2024_table(folder: Path, records: Sequence[Record]) -> None:
    columns = (
        *("isic_id", "target", "patient_id", "age_approx", "sex", "anatom_site_general", "clin_size_long_diam_mm"),
        *("image_type", "attribution", "copyright_license", "lesion_id", "iddx_full", "iddx_1", "mel_thick_mm"),
        "tbp_lv_dnn_lesion_confidence",
    )
    rows = []
    for r in records:
        malignant = r.label.startswith("1")
        rows.append(
            (
                *(r.name, int(malignant), f"IP_{r.patient:07d}", f"{r.age}.0", r.sex, r.site, 3.1),
                *("TBP tile: close-up", "Synthetic Clinic", "CC-BY-NC", f"IL_{r.lesion:07d}" if malignant else ""),
                *(("Malignant",) * 2 if malignant else ("Benign",) * 2),
                *("0.4" if malignant else "", 99.0),
            )
        )
    _table(folder / "train-metadata.csv", columns, rows)


def _isic2024(folder: Path, records: Sequence[Record]) -> None:
    _isic2024_table(folder, records)
    with h5py.File(folder / "train-image.hdf5", "w") as archive:
        for record in records:
            archive.create_dataset(record.name, data=np.void(record.jpeg))


def _isic2024_files(folder: Path, records: Sequence[Record]) -> None:
    _isic2024_table(folder, records)
    _images(folder / "train-image" / "image", records)


def _ph2(folder: Path, records: Sequence[Record]) -> None:
    home = folder / "PH2Dataset"
    lines = ["||   Name ||   Histological Diagnosis || Clinical Diagnosis ||  Asymmetry | Pigment Network || Colors ||"]
    for record in records:
        name = f"IMD{record.number:03d}"
        lines.append(f"|| {name} ||  ||   {record.label} ||   0 |  T ||  4  ||")
        images = home / "PH2 Dataset images" / name
        for kind in ("Dermoscopic_Image", "lesion"):
            (images / f"{name}_{kind}").mkdir(parents=True)
        image = Image.open(BytesIO(record.jpeg))
        image.save(images / f"{name}_Dermoscopic_Image" / f"{name}.bmp")
        image.convert("1").save(images / f"{name}_lesion" / f"{name}_lesion.bmp")
    lines += ["", "Legends:", "  Clinical Diagnosis: 0 - Common Nevus; 1 - Atypical Nevus; 2 - Melanoma"]
    (home / "PH2_dataset.txt").write_text("\n".join(lines) + "\n")


def _archive(folder: Path, records: Sequence[Record]) -> None:
    columns = (
        *("isic_id", "attribution", "copyright_license", "age_approx", "anatom_site_general"),
        *("diagnosis_1", "diagnosis_2", "diagnosis_3", "lesion_id", "patient_id", "sex"),
    )
    rows = [
        (
            *(r.name, "Synthetic Clinic", "CC-BY-NC", r.age, r.site),
            *("Malignant" if r.label.startswith("Melanoma") else "Benign", "", r.label),
            *(f"IL_{r.lesion:07d}", f"IP_{r.patient:07d}", r.sex),
        )
        for r in records
    ]
    _table(folder / "metadata.csv", columns, rows)
    _images(folder, records)


def _class_folders(folder: Path, records: Sequence[Record]) -> None:
    for record in records:
        split = ("train", "train", "valid", "train", "test")[record.lesion // 2 % 5]
        _images(folder / split / record.label, [record])


def _table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def _images(folder: Path, records: Sequence[Record]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for record in records:
        (folder / f"{record.name}.jpg").write_bytes(record.jpeg)


SEVEN = {name: name for name in ("nv", "mel", "bkl", "bcc", "akiec", "df", "vasc")}
EIGHT = {
    "NV": "nv",
    "MEL": "mel",
    "BKL": "bkl",
    "BCC": "bcc",
    "AK": "akiec",
    "DF": "df",
    "VASC": "vasc",
    "SCC": "akiec",
}
MOLES = {"unknown": "nv", "melanoma": "mel", "nevus": "nv", "seborrheic keratosis": "bkl"}
TILES = {"0": "nv", "1": "mel", "0 keratosis": "bkl", "1 carcinoma": "bcc"}

PUBLISHERS = {
    "ham10000": Publisher(SEVEN, _kaggle),
    "ham10000_dataverse": Publisher(SEVEN, _dataverse),
    "isic2019": Publisher(EIGHT, _isic2019),
    "siim_isic_2020": Publisher(MOLES, _siim),
    "isic2024": Publisher(TILES, _isic2024),
    "isic2024_files": Publisher(TILES, _isic2024_files),
    "isic_archive": Publisher({"Nevus": "nv", "Melanoma Invasive": "mel"}, _archive),
    "ph2": Publisher({"0": "nv", "2": "mel", "1": "atypical"}, _ph2),
    "class_folders": Publisher({"dangerous": "mel", "not_dangerous": "nv"}, _class_folders),
}
