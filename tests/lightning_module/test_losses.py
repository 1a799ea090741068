"""Each loss against numbers worked out by hand from its definition."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_module import losses

BENIGN, MALIGNANT = [1.0, 0.0], [0.0, 1.0]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_bce() -> None:
    logits, targets = torch.tensor([[2.0], [-1.0]]), torch.tensor([MALIGNANT, BENIGN])
    expected = (-math.log(sigmoid(2)) - math.log(1 - sigmoid(-1))) / 2
    assert float(losses.make("bce", "sigmoid")(logits, targets)) == pytest.approx(expected, rel=1e-5)


def test_bce_with_label_smoothing() -> None:
    logits, targets = torch.tensor([[2.0]]), torch.tensor([MALIGNANT])
    expected = -0.95 * math.log(sigmoid(2)) - 0.05 * math.log(1 - sigmoid(2))
    loss = losses.make("bce", "sigmoid", label_smoothing=0.1)
    assert float(loss(logits, targets)) == pytest.approx(expected, rel=1e-5)


def test_weighted_bce_counts_a_malignant_sample_so_many_times() -> None:
    logits, targets = torch.tensor([[0.5], [0.5]]), torch.tensor([MALIGNANT, BENIGN])
    expected = (-3 * math.log(sigmoid(0.5)) - math.log(1 - sigmoid(0.5))) / 2
    loss = losses.make("weighted_bce", "sigmoid", positive_weight=3.0)
    assert float(loss(logits, targets)) == pytest.approx(expected, rel=1e-5)


def test_focal() -> None:
    logits, targets = torch.tensor([[1.0], [-2.0]]), torch.tensor([MALIGNANT, BENIGN])
    p, q = sigmoid(1.0), sigmoid(-2.0)
    expected = (-0.25 * (1 - p) ** 2 * math.log(p) - 0.75 * q**2 * math.log(1 - q)) / 2
    assert float(losses.make("focal", "sigmoid")(logits, targets)) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_with_label_smoothing_and_class_weights() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0]])
    log_p = torch.log_softmax(logits, 1)[0].tolist()
    smoothed = [0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]
    weights = [1.0, 2.0, 4.0]
    expected = -sum(w * t * lp for w, t, lp in zip(weights, smoothed, log_p, strict=True))
    loss = losses.make("cross_entropy", "softmax", label_smoothing=0.1, class_weights=weights)
    assert float(loss(logits, torch.tensor([[1.0, 0.0, 0.0]]))) == pytest.approx(expected, rel=1e-5)


def test_malignancy_adds_the_binary_loss_of_the_served_probability() -> None:
    logits, targets = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    plain = float(losses.make("cross_entropy", "softmax")(logits, targets))
    served = float(torch.softmax(logits, 1)[0, [0, 2]].sum())
    loss = losses.make("cross_entropy", "softmax", malignancy=0.5, malignant_indices=[0, 2])
    assert float(loss(logits, targets)) == pytest.approx(plain - 0.5 * math.log(1 - served), rel=1e-5)


def test_malignant_logit_is_the_logit_of_the_summed_probability() -> None:
    logits = torch.randn(5, 7)
    probability = torch.softmax(logits, 1)[:, [0, 1, 4]].sum(1)
    torch.testing.assert_close(torch.sigmoid(losses.malignant_logit(logits, [0, 1, 4])), probability)


@pytest.mark.parametrize(("name", "head"), [("bce", "softmax"), ("cross_entropy", "sigmoid")])
def test_a_loss_that_does_not_fit_the_head_is_refused(name: str, head: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        losses.make(name, head)


def test_weighted_bce_asks_for_its_weight() -> None:
    with pytest.raises(ValueError, match="positive_weight"):
        losses.make("weighted_bce", "sigmoid")


def test_an_unknown_loss_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="focal"):
        losses.make("hinge", "sigmoid")
