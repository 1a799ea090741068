"""Drawn lesions: reproducible, of every layout, and different enough to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lightning_module.datasets import load, synthetic
from lightning_module.datasets.rendering import LOOKS, draw


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (
        load(synthetic.render(tmp_path / name, 8, seed=seed, size=(40, 30))).fingerprint().sha256
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first != other


def test_lesions_repeat_and_patients_own_several(tmp_path: Path) -> None:
    frame = load(synthetic.render(tmp_path / "drawn", 120, layout="isic2024", size=(16, 12))).frame
    assert 30 < frame["patient"].nunique() < 90
    ham = load(synthetic.render(tmp_path / "ham", 120, size=(16, 12))).frame
    assert 70 < ham["lesion"].nunique() < 110
    assert ham.groupby("lesion")["diagnosis"].nunique().max() == 1


def coarse_colours(look: str, seed: int) -> NDArray[np.float64]:
    pixels = np.asarray(draw(look, seed, seed + 10_000, (64, 48)).resize((8, 6)), dtype=np.float64) / 255
    return np.concatenate([pixels.ravel(), pixels.std(axis=(0, 1)), np.ptp(pixels, axis=(0, 1))])


def test_malignancy_can_be_learned_but_not_without_error() -> None:
    malignant, benign = ("mel", "bcc", "akiec"), ("nv", "bkl", "df")
    labels = np.arange(480) % 2 == 0
    looks = [(malignant if label else benign)[seed // 2 % 3] for seed, label in enumerate(labels)]
    colours = np.stack([coarse_colours(look, seed) for seed, look in enumerate(looks)])
    model = LogisticRegression(max_iter=2000).fit(colours[:320], labels[:320])
    score = roc_auc_score(labels[320:], model.decision_function(colours[320:]))
    assert 0.7 < score < 0.999


@pytest.mark.parametrize("look", LOOKS)
def test_a_lesion_stands_out_from_its_skin(look: str) -> None:
    contrast = []
    for seed in range(12):
        pixels = np.asarray(draw(look, seed, seed, (80, 60)), dtype=np.float64).mean(axis=2)
        corners = np.concatenate([pixels[:10, :10].ravel(), pixels[-10:, -10:].ravel()])
        contrast.append(abs(pixels[25:35, 35:45].mean() - corners.mean()))
    assert np.median(contrast) > 10


def test_the_command_writes_a_folder_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic.main([str(tmp_path / "drawn"), "--count", "5", "--layout", "ph2", "--size", "32", "24"])
    assert len(load(tmp_path / "drawn")) == 5
    assert "5 drawn images" in capsys.readouterr().out


def test_a_folder_in_use_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.txt").touch()
    with pytest.raises(SystemExit):
        synthetic.main([str(tmp_path)])
    assert "is not empty" in capsys.readouterr().err
