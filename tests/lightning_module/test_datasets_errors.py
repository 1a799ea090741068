"""What is wrong with a folder is said by name, with counts, and with what was expected."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import httpx
import pytest

from lightning_module import datasets, download
from lightning_module.datasets import synthetic

SIZE = (40, 40)


@pytest.fixture
def ham(tmp_path: Path) -> Path:
    return synthetic.render(tmp_path / "ham", 14, size=SIZE)


def edit(path: Path, pattern: str, replacement: str, count: int = 0) -> None:
    path.write_text(re.sub(pattern, replacement, path.read_text(), count=count, flags=re.MULTILINE))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(datasets.MissingFiles, match="nowhere: no such folder"):
        datasets.load(tmp_path / "nowhere")


def test_a_folder_of_no_known_layout_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(datasets.UnknownLayout) as caught:
        datasets.load(tmp_path)
    assert "holds holiday.jpg" in str(caught.value)
    assert all(name in str(caught.value) for name in datasets.LAYOUTS)


def test_an_unknown_layout_name_lists_the_known_ones(ham: Path) -> None:
    with pytest.raises(datasets.UnknownLayout, match=r"'ham1000'.*ham10000, isic2019"):
        datasets.load(ham, layout="ham1000")


def test_a_missing_table_is_named(ham: Path) -> None:
    (ham / "HAM10000_metadata.csv").unlink()
    with pytest.raises(
        datasets.MissingFiles, match=r"expected HAM10000_metadata.csv .* found .*HAM10000_images_part_1"
    ):
        datasets.load(ham, layout="ham10000")


def test_missing_columns_are_counted_and_named(ham: Path) -> None:
    edit(ham / "HAM10000_metadata.csv", "age,sex", "years,gender")
    with pytest.raises(
        datasets.MissingColumns, match=r"2 of 6 expected columns are missing: age, sex\. Found: .*gender"
    ):
        datasets.load(ham)


def test_missing_images_are_counted_and_named(ham: Path) -> None:
    gone = sorted((ham / "HAM10000_images_part_2").iterdir())[:3]
    for image in gone:
        image.unlink()
    with pytest.raises(
        datasets.MissingFiles,
        match=rf"3 of 14 images are missing: {gone[0].stem}.*HAM10000_images_part.*--data\.allow_missing true",
    ):
        datasets.load(ham)


def test_allowed_missing_images_are_dropped_aloud(ham: Path, caplog: pytest.LogCaptureFixture) -> None:
    next((ham / "HAM10000_images_part_1").iterdir()).unlink()
    with caplog.at_level(logging.WARNING):
        table = datasets.load(ham, allow_missing=True)
    assert len(table) == 13
    assert table.dropped == {"missing image": 1}
    assert "Dropping 1 rows" in caplog.text


def test_nothing_left_is_an_error_even_when_missing_is_allowed(ham: Path) -> None:
    for image in ham.rglob("*.jpg"):
        image.unlink()
    with pytest.raises(datasets.DatasetError, match="no row is left"):
        datasets.load(ham, allow_missing=True)


def test_unknown_classes_are_counted(ham: Path) -> None:
    edit(ham / "HAM10000_metadata.csv", ",(mel|bcc),", ",wart,")
    with pytest.raises(datasets.UnknownValues, match=r"4 rows have an unknown dx: 'wart' \(4\)\. Expected: akiec, bcc"):
        datasets.load(ham)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r",\d+\.0,", ",old,", "ages are not numbers: old"),
        (r",\d+\.0,", ",430,", "ages lie outside 0 to 120: 430"),
        (r",(fe)?male,", ",diverse,", r"unknown sex: 'diverse' \(14\)"),
    ],
)
def test_impossible_values_are_named(ham: Path, pattern: str, replacement: str, message: str) -> None:
    edit(ham / "HAM10000_metadata.csv", pattern, replacement)
    with pytest.raises(datasets.UnknownValues, match=message):
        datasets.load(ham)


def test_an_image_listed_twice_is_an_error(ham: Path) -> None:
    table = ham / "HAM10000_metadata.csv"
    table.write_text(table.read_text() + table.read_text().splitlines()[1] + "\n")
    with pytest.raises(datasets.DatasetError, match="1 images are listed more than once: HAM10000_images_part_1/ISIC_"):
        datasets.load(ham)


def test_ground_truth_must_mark_one_class(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "isic2019", 10, layout="isic2019", size=SIZE)
    edit(folder / "ISIC_2019_Training_GroundTruth.csv", r"^ISIC_0000003,.*$", "ISIC_0000003" + ",1.0" * 9)
    with pytest.raises(datasets.UnknownValues, match=r"1 of 10 rows do not mark exactly one .*ISIC_0000003"):
        datasets.load(folder)


def test_images_of_unknown_class_are_refused_or_dropped(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "isic2019", 10, layout="isic2019", size=SIZE)
    edit(folder / "ISIC_2019_Training_GroundTruth.csv", r"^ISIC_0000003,.*$", "ISIC_0000003" + ",0.0" * 8 + ",1.0")
    with pytest.raises(datasets.UnknownValues, match="1 of 10 rows are of class UNK"):
        datasets.load(folder)
    assert datasets.load(folder, allow_missing=True).dropped == {"class UNK": 1}


def test_images_without_metadata_are_counted(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "isic2019", 10, layout="isic2019", size=SIZE)
    edit(folder / "ISIC_2019_Training_Metadata.csv", r"^ISIC_000000[34],.*\n", "")
    with pytest.raises(datasets.DatasetError, match=r"2 of 10 images of .* have no row: ISIC_0000003, ISIC_0000004"):
        datasets.load(folder)


def test_contradicting_targets_are_named(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "siim", 8, layout="siim_isic_2020", size=SIZE)
    edit(folder / "train.csv", ",malignant,1", ",malignant,0")
    with pytest.raises(datasets.UnknownValues, match="contradict each other in 2 rows"):
        datasets.load(folder)


def test_undecided_diagnoses_of_the_archive(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "archive", 8, layout="isic_archive", size=SIZE)
    edit(folder / "metadata.csv", "Malignant", "Indeterminate")
    with pytest.raises(datasets.UnknownValues, match="3 of 8 rows are neither Benign nor Malignant"):
        datasets.load(folder)
    assert datasets.load(folder, allow_missing=True).dropped == {"undecided diagnosis": 3}


def test_a_ph2_row_that_ends_early_is_shown(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "ph2", 6, layout="ph2", size=SIZE)
    edit(folder / "PH2Dataset" / "PH2_dataset.txt", r"^\|\| IMD002 .*$", "|| IMD002 ||")
    with pytest.raises(datasets.DatasetError, match=r"1 rows end before Clinical Diagnosis.*IMD002"):
        datasets.load(folder)


class TestClassFolders:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return synthetic.render(tmp_path / "classes", 20, layout="class_folders", size=SIZE)

    def test_class_names_that_do_not_tell(self, folder: Path) -> None:
        for split in ("train", "valid", "test"):
            (folder / split / "dangerous").rename(folder / split / "group_a")
        with pytest.raises(datasets.UnknownValues, match=r"1 classes are malignant does not follow.*group_a"):
            datasets.load(folder)
        table = datasets.load(folder, malignant=["group_a"])
        assert set(table.frame["diagnosis"][table.frame["malignant"]]) == {"group_a"}
        with pytest.raises(datasets.UnknownValues, match="no class group_b"):
            datasets.load(folder, malignant=["group_b"])

    def test_a_class_that_is_never_trained_on(self, folder: Path) -> None:
        (folder / "test" / "dangerous").rename(folder / "test" / "melanoma")
        with pytest.raises(datasets.UnknownValues, match=r"classes without a training image: melanoma \(\d\)"):
            datasets.load(folder)

    def test_stray_files_are_named(self, folder: Path) -> None:
        (folder / "train" / "dangerous" / "scan.dcm").touch()
        (folder / "train" / "list.txt").touch()
        with pytest.raises(datasets.UnknownValues, match="2 files are no image in a class folder"):
            datasets.load(folder)
        assert datasets.load(folder, allow_missing=True).dropped == {"no image in a class folder": 2}


def test_malignant_classes_are_not_redefined(ham: Path) -> None:
    with pytest.raises(datasets.UnknownValues, match="ham10000 defines what is malignant"):
        datasets.load(ham, malignant=["mel"])


def test_download_without_the_client_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(SystemExit, match=r"\.\[download\]"):
        download.main(["out", "--collections", "70"])


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A pretended `isic` that writes down its arguments, and the table into the folder that comes last."""
    made = tmp_path / "isic"
    made.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nmkdir -p "$7" && echo isic_id > "$7/metadata.csv"\n')
    made.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda *_, **__: str(made))
    monkeypatch.setattr("httpx.head", lambda *_, **__: None)
    return made


@pytest.mark.usefixtures("client")
def test_download_hands_its_options_to_the_client(tmp_path: Path) -> None:
    download.main([str(tmp_path / "out"), "--collections", "70", "--limit", "5"])
    asked = (tmp_path / "arguments").read_text().split()
    assert asked == ["image", "download", "--limit", "5", "--collections", "70", str(tmp_path / "out")]


@pytest.mark.parametrize("status", [0, 1])
def test_a_download_that_broke_off_is_told(client: Path, tmp_path: Path, status: int) -> None:
    # isic-cli shows an error, offers to report it and may then end with 0.
    client.write_text(f"#!/bin/sh\nexit {status}\n")
    with pytest.raises(SystemExit, match="run the command again"):
        download.main([str(tmp_path / "out"), "--collections", "70"])


@pytest.mark.usefixtures("client")
def test_download_without_a_network_ends_at_once_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise httpx.ConnectError("Name or service not known")

    monkeypatch.setattr("httpx.head", refuse)
    with pytest.raises(SystemExit, match=r"api\.isic-archive\.com cannot be reached") as refusal:
        download.main([str(tmp_path / "out"), "--collections", "70"])
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "arguments").exists()
