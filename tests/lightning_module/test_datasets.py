"""Every published layout, read from a tiny folder of drawn lesions."""

from __future__ import annotations

import csv
import pickle
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from handler.geometry import Geometry
from lightning_module import cache, datasets
from lightning_module.datasets import publishing, synthetic
from lightning_module.datasets.table import DTYPES

COUNT = 24
SIZE = (48, 36)
READ_AS = {"ham10000_dataverse": "ham10000", "isic2024_files": "isic2024"}
MALIGNANT = {
    "ham10000": {"mel", "bcc", "akiec"},
    "ham10000_dataverse": {"mel", "bcc", "akiec"},
    "isic2019": {"mel", "bcc", "ak", "scc"},
    "siim_isic_2020": {"melanoma"},
    "isic2024": {"malignant"},
    "isic2024_files": {"malignant"},
    "isic_archive": {"Melanoma Invasive"},
    "ph2": {"melanoma"},
    "class_folders": {"dangerous"},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("layouts")
    return {name: synthetic.render(root / name, COUNT, layout=name, size=SIZE) for name in publishing.PUBLISHERS}


@pytest.mark.parametrize("published", MALIGNANT)
def test_a_layout_is_recognised_and_read(folders: dict[str, Path], published: str, tmp_path: Path) -> None:
    table = datasets.load(folders[published])
    assert table.layout == READ_AS.get(published, published)
    assert len(table) == COUNT
    assert {column: str(dtype) for column, dtype in table.frame.dtypes.items()} == DTYPES
    found = set(table.frame["diagnosis"][table.frame["malignant"]])
    assert found == MALIGNANT[published]
    assert not set(table.frame["diagnosis"][~table.frame["malignant"]]) & MALIGNANT[published]
    for row in (0, COUNT - 1):
        assert Image.open(BytesIO(table.image_bytes(row))).size == SIZE
    assert len(cache.build(table, Geometry(size=28), tmp_path)) == COUNT


def test_every_publisher_has_a_test() -> None:
    assert set(MALIGNANT) == set(publishing.PUBLISHERS)
    assert {READ_AS.get(name, name) for name in MALIGNANT} == set(datasets.LAYOUTS)


def test_labels_belong_to_their_images(folders: dict[str, Path]) -> None:
    with (folders["ham10000"] / "HAM10000_metadata.csv").open() as file:
        published = {row["image_id"]: row["dx"] for row in csv.DictReader(file)}
    frame = datasets.load(folders["ham10000"]).frame
    assert {Path(path).stem: dx for path, dx in zip(frame["path"], frame["diagnosis"], strict=True)} == published


def test_groups_ages_and_sites_are_read(folders: dict[str, Path]) -> None:
    siim = datasets.load(folders["siim_isic_2020"]).frame
    assert siim["patient"].str.fullmatch(r"IP_\d{7}").all()
    assert siim["lesion"].isna().all()
    assert siim["age"].between(20, 80).all()
    assert set(siim["sex"]) <= {"female", "male"}
    assert datasets.load(folders["isic2019"]).frame["lesion"].isna().any()
    assert set(datasets.load(folders["ham10000_dataverse"]).frame["source"]) == {"vidir_modern"}
    assert set(datasets.load(folders["class_folders"]).frame["split"]) == {"train", "val", "test"}


def test_what_leaks_the_label_is_not_in_the_table(folders: dict[str, Path]) -> None:
    for published in ("ham10000", "isic2024"):
        frame = datasets.load(folders[published]).frame
        text = frame.drop(columns=["diagnosis", "confirmed_by"]).to_csv()
        assert list(frame.columns) == list(DTYPES)
        assert "histo" not in text
        assert "Malignant" not in text
        assert "99.0" not in text


def test_how_a_diagnosis_was_confirmed_is_read_and_leaves_the_fingerprint_as_it_was(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "ham", COUNT, layout="ham10000", size=SIZE)
    before = datasets.load(folder)
    assert set(before.frame["confirmed_by"]) == {"histology"}
    published = folder / "HAM10000_metadata.csv"
    published.write_text(published.read_text().replace("histo", "follow_up"))
    after = datasets.load(folder)
    assert set(after.frame["confirmed_by"]) == {"follow-up"}
    assert after.fingerprint() == before.fingerprint()


def test_an_archived_table_survives_pickling(folders: dict[str, Path]) -> None:
    table = datasets.load(folders["isic2024"])
    first = table.image_bytes(0)
    assert pickle.loads(pickle.dumps(table)).image_bytes(0) == first
    files = datasets.load(folders["isic2024_files"])
    assert [table.image_bytes(row) for row in range(COUNT)] == [files.image_bytes(row) for row in range(COUNT)]


def test_the_fingerprint_tells_datasets_apart(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "here", 6, size=SIZE)
    moved = synthetic.render(tmp_path / "there", 6, size=SIZE)
    table = datasets.load(folder)
    assert datasets.load(moved).fingerprint() == table.fingerprint()
    assert table.take([5, 4, 3, 2, 1, 0]).fingerprint() == table.fingerprint()
    assert table.take([0, 1, 2]).fingerprint().sha256 != table.fingerprint().sha256
    (folder / str(table.frame["path"].iat[0])).write_bytes(table.image_bytes(1))
    assert datasets.load(folder).fingerprint().sha256 != datasets.load(moved).fingerprint().sha256


def test_images_may_lie_apart_from_their_table(folders: dict[str, Path], tmp_path: Path) -> None:
    source = folders["ham10000"] / "HAM10000_images_part_1"
    (tmp_path / "images_224x224").symlink_to(source, target_is_directory=True)
    described = folders["ham10000"] / "HAM10000_metadata.csv"
    table = datasets.load(tmp_path, metadata=described, allow_missing=True)
    assert len(table) == COUNT // 2
    assert table.dropped == {"missing image": COUNT // 2}


def test_downsampled_names_of_isic_2019_are_found(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "isic2019", 12, layout="isic2019", size=SIZE)
    image = next((folder / "ISIC_2019_Training_Input").iterdir())
    image.rename(image.with_name(f"{image.stem}_downsampled.jpg"))
    assert len(datasets.load(folder)) == 12


def test_the_archive_of_2020_is_read_under_its_own_names(folders: dict[str, Path], tmp_path: Path) -> None:
    truth = (folders["siim_isic_2020"] / "train.csv").read_text()
    (tmp_path / "ISIC_2020_Training_GroundTruth.csv").write_text(truth)
    (tmp_path / "train").symlink_to(folders["siim_isic_2020"] / "jpeg" / "train", target_is_directory=True)
    assert len(datasets.load(tmp_path)) == COUNT


def test_dataverse_serves_its_table_with_tabs(folders: dict[str, Path], tmp_path: Path) -> None:
    with (folders["ham10000_dataverse"] / "HAM10000_metadata").open() as file:
        rows = list(csv.reader(file))
    text = "\n".join("\t".join(f'"{cell}"' for cell in row) for row in rows)
    (tmp_path / "HAM10000_metadata.tab").write_text(text)
    (tmp_path / "images").symlink_to(folders["ham10000_dataverse"], target_is_directory=True)
    assert len(datasets.load(tmp_path)) == COUNT


@pytest.mark.parametrize("suffix", ["png", "bmp", "JPG", "jpeg"])
def test_plain_folders_take_other_formats(tmp_path: Path, suffix: str) -> None:
    for label in ("nevus", "melanoma"):
        (tmp_path / "train" / label).mkdir(parents=True)
        Image.new("RGB", (40, 40), "tan").save(tmp_path / "train" / label / f"a.{suffix}")
    table = datasets.load(tmp_path)
    assert table.frame["malignant"].tolist() == [True, False]
    assert len(cache.build(table, Geometry(size=28), tmp_path / "cache")) == 2
