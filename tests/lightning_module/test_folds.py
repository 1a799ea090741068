"""Cross-validation by `fit`: every fold is a training of its own, and none goes on from another one's weights."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_module.__main__ import main
from lightning_module.datasets import synthetic
from tests.lightning_module.training import arguments


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.render(tmp_path_factory.mktemp("data") / "ham", 96, size=(80, 60))


def fold(folder: Path, run: Path, number: int, epochs: int, *more: str, command: str = "fit") -> None:
    chosen = ("--data.folds=3", f"--data.fold={number}", f"--trainer.max_epochs={epochs}")
    main(arguments(folder, run, *chosen, *more, command=command))


def saved(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint, weights_only=True)  # type: ignore[no-any-return]


def test_every_fold_trains_and_resumes_by_itself(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    for number in range(3):
        fold(folder, run, number, 1)
    assert "resuming" not in capsys.readouterr().out
    fold(folder, run, 1, 2)
    assert f"resuming from {run / 'fold_1' / 'last.ckpt'}" in capsys.readouterr().out
    assert [saved(run / f"fold_{number}" / "last.ckpt")["epoch"] for number in range(3)] == [0, 1, 0]
    described = [saved(run / f"fold_{number}" / "best.ckpt")["hyper_parameters"]["data"] for number in range(3)]
    assert [data["split"]["fold"] for data in described] == [0, 1, 2]
    assert sum(data["rows"]["val"] for data in described) + described[0]["rows"]["test"] == 96


def test_a_fold_is_not_judged_by_weights_that_were_trained_on_it(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fold(folder, run, 0, 1)
    best = f"--ckpt_path={run / 'fold_0' / 'best.ckpt'}"
    fold(folder, run, 0, 1, best, command="validate")
    for command in ("validate", "fit"):
        with pytest.raises(SystemExit, match=r"'fold': 0.*'fold': 1.*the split changed\. Give the same data and split"):
            fold(folder, run, 1, 1, best, command=command)


def test_a_training_is_not_resumed_on_other_data_but_tested_there(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    main(arguments(folder, run, "--trainer.max_epochs=1"))
    other = synthetic.render(tmp_path / "other", 60, seed=2, size=(80, 60))
    with pytest.raises(SystemExit, match=r"synthetic, 96 rows.*synthetic, 60 rows"):
        main(arguments(other, run, "--trainer.max_epochs=2"))
    main(arguments(other, run, command="test"))


def test_one_image_that_changed_is_told_from_the_split(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    main(arguments(folder, run, "--trainer.max_epochs=1"))
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    one, other = sorted(changed.rglob("*.jpg"))[:2]
    shutil.copy(other, one)
    with pytest.raises(SystemExit) as refusal:
        main(arguments(changed, run, "--trainer.max_epochs=2"))
    then, now = re.findall(r"96 rows, sha256 ([0-9a-f]{12}),", str(refusal.value))
    assert then != now
    assert "images or labels changed" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_training_is_not_resumed_or_tested_on_a_split_that_was_made_otherwise(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    main(arguments(folder, run, "--trainer.max_epochs=1"))
    for name in ("last.ckpt", "best.ckpt"):
        checkpoint = saved(run / name)
        checkpoint["hyper_parameters"]["data"]["digests"]["val"] = "0" * 64
        torch.save(checkpoint, run / name)
    for command in ("fit", "test"):
        with pytest.raises(SystemExit, match=r"error: The split cannot be made again: val would.*Scikit-learn"):
            main(arguments(folder, run, "--trainer.max_epochs=2", command=command))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (("--data.folds=3", "--data.fold=3"), "data.fold is 3, of data.folds 3"),
        (("--data.folds=3", "--data.fold=-1"), "data.fold is -1"),
        (("--data.fold=1",), "data.fold is 1, of data.folds None"),
        (("--data.folds=1",), "two folds or more"),
    ],
)
def test_folds_that_cannot_be_end_in_one_line(
    folder: Path, tmp_path: Path, settings: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(arguments(folder, tmp_path / "run", *settings))
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)
