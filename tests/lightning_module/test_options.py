"""Data that its folder alone does not explain, from `fit` through `bundle` to `evaluate`, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightning_module.__main__ import main
from lightning_module.bundle_maker import main as bundle
from lightning_module.datasets import synthetic
from lightning_module.evaluate import main as evaluate
from tests.lightning_module.training import arguments

NAMES = {"dangerous": "worrying", "not_dangerous": "calm"}
SIGMOID = ("--data.layout=auto", "--model.head=sigmoid", "--model.classes=[benign,malignant]")


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    folder = synthetic.render(tmp_path / "strangers", 120, layout="class_folders", size=(80, 60))
    for old, new in NAMES.items():
        for group in list(folder.glob(f"*/{old}")):
            group.rename(group.with_name(new))
    return folder


def test_class_names_that_say_nothing_are_explained_once(strangers: Path, tmp_path: Path) -> None:
    fit(
        strangers,
        tmp_path,
        *SIGMOID,
        "--model.malignant=[malignant]",
        "--model.loss=bce",
        "--data.malignant_folders=[worrying]",
    )
    assert bundle(call(strangers, tmp_path, "--ckpt")) == 0
    assert evaluate(call(strangers, tmp_path, "--bundle")) == 0
    elsewhere = call(strangers, tmp_path, "--bundle", "--split", "all")
    assert evaluate(elsewhere) == 1
    assert evaluate([*elsewhere, "--malignant", "worrying"]) == 0
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["images"] == 120


def test_a_table_apart_from_the_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = synthetic.render(tmp_path / "images", 120, size=(80, 60))
    [table] = folder.glob("*.csv")
    table = table.rename(tmp_path / table.name)
    fit(folder, tmp_path, f"--data.metadata={table}")
    assert bundle(call(folder, tmp_path, "--ckpt")) == 1
    assert "no known layout" in capsys.readouterr().err
    assert bundle(call(folder, tmp_path, "--ckpt", "--metadata", str(table))) == 0
    assert evaluate(call(folder, tmp_path, "--bundle", "--metadata", str(table))) == 0
    assert str(tmp_path) not in (tmp_path / "bundle" / "bundle.json").read_text()


def fit(folder: Path, root: Path, *more: str) -> None:
    main(arguments(folder, root / "run", "--trainer.max_epochs=1", *more))


def call(folder: Path, root: Path, what: str, *more: str) -> list[str]:
    given = root / "run" / "best.ckpt" if what == "--ckpt" else root / "bundle"
    output = root / ("bundle" if what == "--ckpt" else "report")
    return [what, str(given), "--data", str(folder), "--output", str(output), "--replicates", "5", *more]
