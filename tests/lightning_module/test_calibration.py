from __future__ import annotations

import numpy as np
import pytest

from lightning_module import calibration


@pytest.mark.parametrize("known", [0.5, 1.0, 2.5])
def test_recovers_a_known_temperature_of_a_sigmoid(known: float) -> None:
    random = np.random.default_rng(0)
    honest = random.normal(-1, 2, 40_000)
    truth = random.random(honest.size) < 1 / (1 + np.exp(-honest))
    assert calibration.temperature(honest[:, None] * known, truth) == pytest.approx(known, rel=0.03)


def test_recovers_a_known_temperature_of_a_softmax() -> None:
    random = np.random.default_rng(1)
    honest = random.normal(0, 2, (40_000, 4))
    shares = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    label = (shares.cumsum(axis=1) > random.random((len(honest), 1))).argmax(axis=1)
    found = calibration.temperature(honest * 1.7, np.isin(label, [1, 3]), malignant=[1, 3])
    assert found == pytest.approx(1.7, rel=0.03)


def test_log_odds_of_a_softmax_are_those_of_the_summed_classes() -> None:
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.4]]))
    found = calibration.malignant_log_odds(logits, [1, 3])
    assert 1 / (1 + np.exp(-found[0])) == pytest.approx(0.6)


def test_a_network_that_tells_no_image_from_another_is_not_calibrated() -> None:
    logits = 0.3 + np.random.default_rng(0).normal(0, 1e-5, (8, 1))
    with pytest.raises(ValueError, match="same score"):
        calibration.temperature(logits, np.arange(8) < 4)


def test_needs_both_kinds_of_image() -> None:
    with pytest.raises(ValueError, match="malignant and benign"):
        calibration.temperature(np.zeros((4, 1)), np.zeros(4, dtype=bool))
