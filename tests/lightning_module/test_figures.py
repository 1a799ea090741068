"""Figures of a report against numbers worked out by hand: what a precision costs, who counts, what resizing changes."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from handler.predictor import Predictor
from lightning_module import abstention, assembly, robustness, subgroups
from lightning_module.assembly import HeldOut
from lightning_module.report import compose
from tests.lightning_module import evaluated


def log_odds(*shares: float) -> np.ndarray:
    return np.array([[math.log(share / (1 - share))] for share in shares], np.float32)


def test_what_int8_loses_is_the_rank_that_full_precision_had_and_its_largest_change() -> None:
    truth = np.array([True, True, False, False] * 10)
    held_out = HeldOut([b""] * 40, truth, np.arange(40).astype(str))
    full = log_odds(*[0.8, 0.6, 0.4, 0.3] * 10)
    int8 = full.copy()
    int8[1] = log_odds(0.35)
    found = assembly.compare(None, full, int8, held_out, golden_gap=0.0, most_auroc_lost=0.003)
    assert found.auroc_lost == pytest.approx(1 - roc_auc_score(truth, int8[:, 0]))
    assert not found.accepted
    assert assembly.compare(None, int8, full, held_out, 0.0, 0.003).accepted
    cooled = 1 / (1 + np.exp(-int8[1, 0] / _temperature(full, truth)))
    assert found.largest_change == pytest.approx(1 / (1 + np.exp(-full[1, 0] / _temperature(full, truth))) - cooled)


def _temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    return assembly.calibration.temperature(logits, truth)


def test_either_loss_alone_keeps_int8_from_being_served() -> None:
    def accepted(lost: float, gap: float) -> bool:
        return assembly.Quantisation(lost, allowed=0.003, largest_change=0.0, golden_gap=gap).accepted

    assert [accepted(0.003, 1.0), accepted(0.0031, 0.0), accepted(0.0, 1.01)] == [True, False, False]


def test_a_precision_is_compared_with_fp32_and_a_loss_is_negative() -> None:
    data = evaluated.fingerprint()
    said = evaluated.evaluation(data)
    full = said.logits["fp32"]
    worse = full.copy()
    # Two carcinomas that fp32 finds are missed by far, and two moles are called malignant.
    worse[[0, 1, 40, 41]] *= -2
    both = replace(said, logits={"fp32": full, "int8": worse}, images_per_second={"fp32": 1.0, "int8": 2.0})
    report = compose(both, data, "test", replicates=20)
    [same, other] = report.precisions
    assert (same.precision, same.labels_changed, same.auroc_change.value) == ("fp32", 0, 0.0)
    truth = said.frame["malignant"].to_numpy(dtype=bool)
    change = roc_auc_score(truth, worse[:, 0]) - roc_auc_score(truth, full[:, 0])
    assert change < 0
    assert (other.precision, other.labels_changed) == ("int8", 4)
    assert other.auroc_change.value == pytest.approx(change)


def test_melanoma_is_ranked_against_benign_lesions_alone() -> None:
    data = evaluated.fingerprint()
    said = evaluated.evaluation(data)
    among = (said.frame["diagnosis"] != "bcc").to_numpy(dtype=bool)
    expected = roc_auc_score(said.frame["diagnosis"][among] == "mel", said.logits["fp32"][among, 0])
    found = compose(said, data, "test", replicates=5).melanoma
    assert found is not None
    assert found.value == pytest.approx(expected)


def test_data_that_the_model_was_not_trained_on_is_called_external() -> None:
    data = evaluated.fingerprint()
    said = evaluated.evaluation(data)
    assert not compose(said, data, "test", replicates=2).external
    assert compose(said, data.model_copy(update={"sha256": "f" * 64}), "all", replicates=2).external


@pytest.mark.parametrize(
    ("age", "band"),
    [(0, "under 30"), (29, "under 30"), (30, "30 to 44"), (45, "45 to 59"), (74, "60 to 74"), (75, "75 and over")],
)
def test_a_band_begins_with_its_first_year(age: int, band: str) -> None:
    assert subgroups.age_band(pd.Series([age])).tolist() == [band]


def test_giving_up_the_least_certain_first_lowers_the_risk() -> None:
    # The missed melanomas are all that it gets wrong, and lie closest to the threshold.
    said = evaluated.evaluation(evaluated.fingerprint())
    risks = abstention.curves(said, evaluated.THRESHOLD)["closest to the threshold first"]
    assert risks[0] == pytest.approx(0.125)
    assert risks[-1] == 0


def test_the_spread_over_sizes_is_told_by_its_quantiles(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = io.BytesIO()
    Image.new("RGB", (640, 480), "tan").save(drawn, "JPEG")
    low = np.full(10, 0.4)
    answers = iter([low, low + np.arange(10) / 50, low])
    predictor = SimpleNamespace(
        manifest=evaluated.manifest(evaluated.fingerprint()), logits=lambda _: log_odds(*next(answers))
    )
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: predictor)
    images = {str(number): drawn.getvalue() for number in range(10)}
    found = robustness.measure("nowhere", images, trained={"3", "4", "other"})
    assert found.spreads == pytest.approx([number / 50 for number in range(10)], abs=1e-4)
    assert (found.median, found.ninetieth, found.largest) == pytest.approx((0.09, 0.162, 0.18), abs=1e-4)
    # 0.00, 0.02 and 0.04; and below the threshold of 0.5 at every size 0.40 to 0.48.
    assert (found.below_005, found.same_label, found.trained_on) == pytest.approx((0.3, 0.5, 2))
