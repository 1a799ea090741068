from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from lightning_module.distinct_images import OverDistinctImages

PROBABILITIES = torch.tensor([0.1, 0.8, 0.4, 0.6, 0.3])
TRUTHS = torch.tensor([0, 1, 1, 0, 0])


def area(probabilities: Tensor, truths: Tensor) -> Tensor:
    return torch.tensor(roc_auc_score(truths, probabilities))


@pytest.mark.parametrize(
    "batches", [[[0, 1, 2, 3, 4]], [[3, 1], [0, 2, 4]], [[0, 2, 4], [1, 3, 0]], [[2, 2, 3, 1], [0, 2, 4]]]
)
def test_no_image_counts_twice_in_whatever_batches_it_comes(batches: list[list[int]]) -> None:
    metric = OverDistinctImages(area)
    for batch in batches:
        metric.update(torch.tensor(batch) + 100, PROBABILITIES[batch], TRUTHS[batch])
    assert float(metric.compute()) == float(area(PROBABILITIES, TRUTHS))


def test_the_next_epoch_begins_anew() -> None:
    metric = OverDistinctImages(area)
    metric.update(torch.arange(5), 1 - PROBABILITIES, TRUTHS)
    metric.reset()
    metric.update(torch.arange(5), PROBABILITIES, TRUTHS)
    assert float(metric.compute()) == float(area(PROBABILITIES, TRUTHS))
