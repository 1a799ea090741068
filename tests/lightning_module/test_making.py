"""Which images each step of a bundle's making gets, and what is chosen from which numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from handler import familiarity
from handler.bundle import Bundle
from handler.geometry import Geometry
from handler.predictor import Measured, Model, Prediction, Predictor
from lightning_module import (
    assembly,
    bundle_maker,
    calibration,
    description,
    near_duplicates,
    quantise,
    synthetic_bundle,
)
from lightning_module.assembly import ABSTAINED, HeldOut, Trained
from lightning_module.datasets import Table, load
from lightning_module.quantise import Quantisation
from lightning_module.report import compose
from lightning_module.splits import Rows, grouped
from tests.lightning_module import evaluated
from tests.lightning_module.bundling import checkpoint, rendered


class Enough(Exception):
    """What came was seen."""


def images(table: Table, rows: Rows) -> list[bytes]:
    return [table.image_bytes(int(row)) for row in rows]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered(tmp_path_factory.mktemp("drawn") / "data")


def test_a_bundle_is_fitted_on_training_images_and_chosen_on_validation_lesions(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[Any] = []

    def stop(*arguments: Any) -> None:
        got.extend(arguments)
        raise Enough

    monkeypatch.setattr(assembly, "assemble", stop)
    with pytest.raises(Enough):
        bundle_maker.make(checkpoint(tmp_path / "best.ckpt", data), data, tmp_path / "bundle")
    table = load(data)
    split = grouped(table)
    _, _, fitting, held_out, *_ = got
    assert sorted(fitting) == sorted(images(table, split.train))
    assert held_out.items == images(table, split.val)
    frame = table.frame.iloc[split.val]
    assert held_out.truth.tolist() == frame["malignant"].tolist()
    assert len(set(held_out.group)) == frame["lesion"].nunique() < len(frame)


def test_a_card_tells_of_the_test_images_and_of_its_thresholds_on_the_validation_images(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluated.fingerprint()
    said = evaluated.evaluation(found)
    rows: list[Rows] = []

    def stop(_: Path, unseen: HeldOut, __: int) -> None:
        assert unseen.items == images(table, split.val)
        raise Enough

    monkeypatch.setattr(description, "evaluate_rows", lambda *given: (rows.append(given[2]), said)[1])
    monkeypatch.setattr(near_duplicates, "find", lambda *_: [])
    monkeypatch.setattr(description, "compose", lambda *_: compose(said, found, "test", replicates=2))
    monkeypatch.setattr(description, "on_validation", stop)
    table = load(data)
    split = grouped(table)
    with pytest.raises(Enough):
        description.describe(
            tmp_path, said.manifest, table, split, Quantisation(0.0, 0.0, 0.0, 0.0), description.Wanted(replicates=2)
        )
    assert [given.tolist() for given in rows] == [split.test.tolist()]


@dataclass
class Watched:
    """A bundle, and what went into its making."""

    folder: Path
    calibrating: int = 0
    fitted: list[int] = field(default_factory=list)
    held_out: HeldOut | None = None
    logits: NDArray[np.float32] | None = None


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    made = Watched(tmp_path_factory.mktemp("watched"))
    int8, fit, choose = quantise.int8, familiarity.fit, assembly.choose

    def seen_int8(model: Any, pixels: Any, normalisation: Any) -> Any:
        made.calibrating = len(pixels)
        return int8(model, pixels, normalisation)

    def seen_fit(*arrays: Any) -> familiarity.FamiliarityReference:
        made.fitted = [len(array) for array in arrays]
        return fit(*arrays)

    def seen_choose(trained: Trained, logits: Any, predictions: Any, held_out: HeldOut, replicates: int) -> Any:
        made.logits, made.held_out = logits, held_out
        return choose(trained, logits, predictions, held_out, replicates)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantise, "int8", seen_int8)
        patch.setattr(familiarity, "fit", seen_fit)
        patch.setattr(assembly, "choose", seen_choose)
        synthetic_bundle.make(made.folder, head="softmax")
    return made


def test_ranges_and_familiarity_are_fitted_on_one_set_of_images_and_measured_on_another(watched: Watched) -> None:
    fitting, unseen = synthetic_bundle.FITTING, synthetic_bundle.HELD_OUT
    assert fitting != unseen
    assert watched.calibrating == fitting
    assert watched.fitted == [fitting, fitting, unseen, unseen]


def test_temperature_and_thresholds_are_chosen_on_the_logits_that_are_served(watched: Watched) -> None:
    manifest = Bundle.load(watched.folder).manifest
    assert watched.held_out
    assert watched.logits is not None
    served, full = (
        Predictor.load(watched.folder, name, 1).logits(list(watched.held_out.items)) for name in ("int8", "fp32")
    )
    assert manifest.preferred == "int8"
    assert np.abs(watched.logits - served).mean() < 0.2 * np.abs(watched.logits - full).mean()
    found = calibration.temperature(watched.logits, watched.held_out.truth, manifest.malignant_indices)
    assert manifest.temperature == pytest.approx(found, rel=1e-4)


def test_golden_logits_are_those_of_full_precision(watched: Watched) -> None:
    manifest = Bundle.load(watched.folder).manifest
    items = [(watched.folder / golden.file).read_bytes() for golden in manifest.golden]
    expected = np.array([golden.logits for golden in manifest.golden])
    gaps = {
        name: np.abs(Predictor.load(watched.folder, name, 1).logits(items) - expected).max()
        for name in ("fp32", "int8")
    }
    assert gaps["fp32"] < 1e-3 < gaps["int8"]
    assert manifest.golden_tolerance["int8"] == pytest.approx(max(0.1, 4 * gaps["int8"]), abs=2e-3)


def prediction(sharpness: float = 1.0) -> Prediction:
    measured = Measured(sharpness=sharpness, exposure=1.0, familiarity=1.0)
    model = Model(name="lesion", version="1.0", sha256="0" * 64)
    return Prediction(
        label="benign",
        probability=0.1,
        threshold=0.5,
        sensitivity=0.95,
        reasons=[],
        quality=measured,
        model=model,
        notice="",
    )


def test_a_limit_turns_no_more_away_than_it_may() -> None:
    sharp = [0.2 + step / 10_000 for step in range(1000)]
    found = assembly.limits([prediction(round(value, 4)) for value in sharp])
    assert found.min_sharpness == 0.2
    assert np.mean([round(value, 4) < found.min_sharpness for value in sharp]) <= ABSTAINED["sharpness"]


def test_a_reference_score_on_an_edge_lies_in_the_bucket_that_ends_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "temperature", lambda *_: 1.0)
    scores = [0.05, 0.25, 0.5, 0.5, 0.99]
    logits = np.array([[math.log(score / (1 - score))] for score in scores], np.float32)
    held_out = HeldOut([b""] * 5, np.array([False, True, False, True, True]), np.array(list("abcde")))
    trained = Trained(nn.Identity(), "small_cnn", "sigmoid", ["benign", "malignant"], ["malignant"], Geometry(size=64))
    histogram = assembly.choose(trained, logits, [prediction()] * 5, held_out, replicates=20)["reference_scores"]
    below = dict(zip(histogram.edges[1:], np.cumsum(histogram.counts).tolist(), strict=True))
    assert [below[edge] for edge in (0.025, 0.05, 0.25, 0.45, 0.5, 0.95, 1.0)] == [0, 1, 2, 2, 4, 4, 5]
