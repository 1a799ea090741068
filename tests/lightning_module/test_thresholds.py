from __future__ import annotations

import numpy as np
import pytest

from lightning_module.metrics import Scores
from lightning_module.thresholds import at_sensitivity, intervals, rounded_down

MALIGNANT = [0.99, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
BENIGN = [0.85, 0.25, 0.05, 0.01]


@pytest.fixture
def table() -> Scores:
    probability = np.array(MALIGNANT + BENIGN)
    truth = np.arange(len(probability)) < len(MALIGNANT)
    return Scores(truth, probability, np.arange(len(probability)).astype(str))


@pytest.mark.parametrize(("wanted", "threshold"), [(0.9, 0.2), (0.95, 0.1), (0.5, 0.6), (0.85, 0.2), (1.0, 0.1)])
def test_is_the_highest_that_reaches_the_sensitivity(table: Scores, wanted: float, threshold: float) -> None:
    assert at_sensitivity(table, wanted) == threshold


def test_the_share_is_counted_in_whole_lesions_and_not_in_what_a_float_makes_of_it() -> None:
    for count in range(100, 2001, 100):
        probability = np.linspace(1, 0, count)
        all_malignant = Scores(np.ones(count, bool), probability, np.arange(count).astype(str))
        for percent in (7, 55, 80, 90, 95):
            assert at_sensitivity(all_malignant, percent / 100) == probability[count * percent // 100 - 1]


def test_ties_are_all_found(table: Scores) -> None:
    tied = Scores(table.truth, np.full(len(table), 0.5), table.group)
    assert at_sensitivity(tied, 0.5) == 0.5


def test_interval_holds_what_the_threshold_reaches(table: Scores) -> None:
    found = intervals(table, 0.2, replicates=200)
    assert found["sensitivity"].value == pytest.approx(0.9)
    assert found["specificity"].value == pytest.approx(0.5)
    assert found["sensitivity"].low is not None
    assert found["sensitivity"].low < 0.9


def test_rounding_never_loses_a_lesion() -> None:
    assert rounded_down(0.12349) == 0.1234
    assert rounded_down(0.00004) == 0.0


def test_refuses_what_cannot_be_chosen(table: Scores) -> None:
    with pytest.raises(ValueError, match="no malignant image"):
        at_sensitivity(table.take(~table.truth), 0.9)
    with pytest.raises(ValueError, match="above 0"):
        at_sensitivity(table, 0.0)
