"""Temperature, threshold and abstention against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.decision import calibrate, label, reasons
from handler.manifest import QualityLimits
from tests.handler.manifests import manifest


def logits(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_a_sigmoid_is_cooled_by_the_temperature() -> None:
    found = calibrate(manifest(temperature=2.0), logits([math.log(9)], [0.0], [-2 * math.log(3)]))
    assert found.classes is None
    assert found.malignant == pytest.approx([0.75, 0.5, 0.25])


def test_a_softmax_sums_the_malignant_classes() -> None:
    three = manifest(head="softmax", classes=["a", "b", "c"], malignant=["a", "c"], temperature=0.5)
    found = calibrate(three, logits([0.0, math.log(2) / 2, math.log(5) / 2]))
    assert found.classes is not None
    assert found.classes[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert found.malignant == pytest.approx([6 / 8])


def test_extreme_logits_stay_probabilities() -> None:
    assert calibrate(manifest(), logits([1e4], [-1e4])).malignant.tolist() == [1.0, 0.0]
    two = manifest(head="softmax", classes=["a", "b"], malignant=["a"])
    assert calibrate(two, logits([1e4, -1e4], [-1e4, 1e4])).malignant.tolist() == [1.0, 0.0]


@given(st.lists(st.floats(-50, 50, width=32), min_size=4, max_size=4), st.floats(0.1, 10))
def test_class_probabilities_sum_to_one(row: list[float], temperature: float) -> None:
    four = manifest(head="softmax", classes=list("abcd"), malignant=["b", "d"], temperature=temperature)
    found = calibrate(four, logits(row))
    assert found.classes is not None
    assert found.classes.sum() == pytest.approx(1.0)
    assert found.malignant[0] == pytest.approx(found.classes[0, 1] + found.classes[0, 3])


def test_the_threshold_itself_is_malignant() -> None:
    served = manifest().threshold
    assert (served.sensitivity, served.value) == (0.95, 0.2)
    assert label(0.2, served.value) == "malignant"
    assert label(0.199999, served.value) == "benign"


def test_the_threshold_that_is_served_is_that_of_the_operating_point() -> None:
    served = manifest(operating_point=0.9).threshold
    assert (served.sensitivity, served.value) == (0.9, 0.3)


def test_each_limit_has_its_reason_and_is_itself_allowed() -> None:
    limits = QualityLimits(min_sharpness=0.3, min_exposure=0.4, min_familiarity=0.02)
    assert reasons(limits, 0.3, 0.4, 0.02) == []
    assert reasons(limits, 0.29, 0.4, 0.02) == ["blurred"]
    assert reasons(limits, 0.3, 0.39, 0.02) == ["badly_exposed"]
    assert reasons(limits, 0.3, 0.4, 0.01) == ["unfamiliar"]
    assert reasons(limits, 0.0, 0.0, 0.0) == ["blurred", "badly_exposed", "unfamiliar"]


def test_parts_that_sum_to_more_than_one_by_rounding_stay_a_probability() -> None:
    seven = manifest(head="softmax", classes=list("abcdefg"), malignant=list("abcdef"))
    spread = np.random.default_rng(0).normal(0, 1, (2000, 7)).astype(np.float32)
    spread[:, 6] = -60
    assert calibrate(seven, spread).malignant.max() <= 1.0


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_not_a_number_is_not_called_benign(broken: float) -> None:
    with pytest.raises(ArithmeticError, match="not a number"):
        calibrate(manifest(), logits([0.0], [broken]))
