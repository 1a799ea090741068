from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_module import bundle_maker, splits
from lightning_module.checkpoint import Checkpoint, CheckpointError
from lightning_module.datasets import load
from tests.lightning_module.bundling import CLASSES, checkpoint, rendered


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered(tmp_path_factory.mktemp("data") / "rendered")


def test_is_accepted_with_its_own_data(data: Path, tmp_path: Path) -> None:
    found = Checkpoint.load(checkpoint(tmp_path / "a.ckpt", data))
    table = load(data)
    found.check(table)
    assert {name: len(rows) for name, rows in found.parts(table).parts().items()} == found.rows


def test_other_data_is_refused(data: Path, tmp_path: Path) -> None:
    found = Checkpoint.load(checkpoint(tmp_path / "a.ckpt", data))
    with pytest.raises(CheckpointError, match="is not the data of the training"):
        found.check(load(rendered(tmp_path / "other", seed=2)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"geometry": {"size": 64, "crop": 7.0}}, "geometry"),
        ({"geometry": None}, "geometry"),
        ({"classes": [*CLASSES, "scc"]}, "classes"),
        ({"data": None}, "data"),
        ({"architecture": "cnn28"}, "do not fit"),
    ],
)
def test_that_does_not_fit_itself_is_refused(data: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.load(checkpoint(tmp_path / "a.ckpt", data, **changes))


def test_classes_that_the_data_does_not_have_are_refused(data: Path, tmp_path: Path) -> None:
    renamed = ["melanoma" if name == "mel" else name for name in CLASSES]
    found = Checkpoint.load(checkpoint(tmp_path / "a.ckpt", data, classes=renamed, malignant=["melanoma"]))
    with pytest.raises(CheckpointError, match="does not know: mel"):
        found.check(load(data))


def test_another_notion_of_malignant_is_refused(data: Path, tmp_path: Path) -> None:
    found = Checkpoint.load(checkpoint(tmp_path / "a.ckpt", data, malignant=["akiec", "bcc"]))
    with pytest.raises(CheckpointError, match="malignant: mel"):
        found.check(load(data))


def test_another_split_is_refused(data: Path, tmp_path: Path) -> None:
    found = Checkpoint.load(checkpoint(tmp_path / "a.ckpt", data))
    found.rows["test"] += 1
    with pytest.raises(CheckpointError, match="split cannot be made again"):
        found.parts(load(data))


@pytest.fixture
def scikit_learn_splits_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows a part as before, but two of them have changed places."""
    grouped = splits.grouped

    def otherwise(*given: Any) -> splits.Split:
        made = grouped(*given)
        made.train[-1], made.test[-1] = made.test[-1], made.train[-1]
        return made

    monkeypatch.setattr(splits, "grouped", otherwise)


@pytest.mark.usefixtures("scikit_learn_splits_otherwise")
def test_other_images_in_parts_of_the_same_size_are_refused(data: Path, tmp_path: Path) -> None:
    found = Checkpoint.load(checkpoint(tmp_path / "a.ckpt", data))
    with pytest.raises(CheckpointError, match=r"train, test would hold other images.*Scikit-learn"):
        found.parts(load(data))


@pytest.mark.usefixtures("scikit_learn_splits_otherwise")
def test_a_checkpoint_that_noted_no_images_is_taken_by_its_sizes(data: Path, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "a.ckpt", data)
    saved = torch.load(path, weights_only=True)
    del saved["hyper_parameters"]["data"]["digests"]
    torch.save(saved, path)
    found = Checkpoint.load(path)
    assert {name: len(rows) for name, rows in found.parts(load(data)).parts().items()} == found.rows


def test_weights_that_are_not_finite_are_refused(data: Path, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "a.ckpt", data)
    saved = torch.load(path, weights_only=True)
    saved["state_dict"]["network.head.bias"][0] = float("nan")
    torch.save(saved, path)
    with pytest.raises(CheckpointError, match="not finite"):
        Checkpoint.load(path)


def test_folds_are_named_where_the_checkpoint_of_no_fold_is_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = [tmp_path / f"fold_{number}" / "best.ckpt" for number in range(2)]
    for fold in folds:
        fold.parent.mkdir()
        fold.touch()
    assert bundle_maker.main(["--ckpt", str(tmp_path / "best.ckpt"), "--data", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.endswith(f"no such checkpoint. Give one fold's by --ckpt: {folds[0]}, {folds[1]}\n")
    assert error.count("\n") == 1


def test_command_line_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"not a checkpoint")
    told = bundle_maker.main(["--ckpt", str(tmp_path / "best.ckpt"), "--data", str(tmp_path)])
    assert told == 1
    error = capsys.readouterr().err
    assert error.startswith("bundle: ")
    assert error.count("\n") == 1
