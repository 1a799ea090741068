"""Odd data is told of before it is trained on, in a line each."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from lightning_module.__main__ import main
from lightning_module.datasets import synthetic
from tests.lightning_module.test_fit import arguments

METADATA = "HAM10000_metadata.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return synthetic.render(tmp_path / "ham", 96, size=(80, 60))


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    main([*words, "--trainer.max_epochs=1"])
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]


def test_a_share_that_is_not_met_is_told_with_the_true_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [line, *_] = told(capsys, *arguments(folder, tmp_path / "run", "--data.test=0.01", "--data.val=0.2"))
    assert re.search(r"test is 1\d\.\d% of the images \(\d+\), not 1\.0%", line)


def test_a_published_split_is_no_share_that_is_not_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = synthetic.render(tmp_path / "classes", 40, layout="class_folders", size=(80, 60))
    two = ("--model.classes=[dangerous, not_dangerous]", "--model.malignant=[dangerous]", "--data.layout=class_folders")
    assert told(capsys, *arguments(published, tmp_path / "run", *two)) == []


def test_a_lesion_with_two_diagnoses_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pd.read_csv(folder / METADATA)
    rows.loc[rows["dx"].isin(["nv", "mel"]).to_numpy().nonzero()[0][:2], "lesion_id"] = "HAM_TWO"
    rows.loc[(rows["lesion_id"] == "HAM_TWO").to_numpy().nonzero()[0], "dx"] = ["nv", "mel"]
    rows.to_csv(folder / METADATA, index=False)
    [line] = [text for text in told(capsys, *arguments(folder, tmp_path / "run")) if "diagnosis" in text]
    assert "1 of " in line
    assert "1 of them benign in one image and malignant in another: HAM_TWO (mel, nv)." in line


def test_data_of_benign_images_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(folder / METADATA)
    rows["dx"] = "nv"
    rows.to_csv(folder / METADATA, index=False)
    with pytest.raises(
        SystemExit, match=r"error: .*images to train on are benign; both benign and malignant"
    ) as refusal:
        main(arguments(folder, tmp_path / "run"))
    assert "\n" not in str(refusal.value)


def test_data_without_an_image_to_train_on_is_refused(tmp_path: Path) -> None:
    published = synthetic.render(tmp_path / "classes", 40, layout="class_folders", size=(80, 60))
    shutil.rmtree(published / "train")
    two = ("--model.classes=[dangerous, not_dangerous]", "--model.malignant=[dangerous]", "--data.layout=class_folders")
    with pytest.raises(SystemExit, match=r"error: .*no image is left to train on") as refusal:
        main(arguments(published, tmp_path / "run", *two))
    assert "\n" not in str(refusal.value)
