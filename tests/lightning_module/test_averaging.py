"""Averaged weights follow the trained ones quickly at first and slowly later."""

from __future__ import annotations

import pytest
import torch

from lightning_module.callbacks import AveragedWeights


@pytest.mark.parametrize(("steps", "share"), [(0, 0.9), (8, 0.5), (80, 0.1), (10_000, 0.1)])
def test_a_step_moves_the_average_by_its_share_of_the_way(steps: int, share: float) -> None:
    averaging = AveragedWeights(decay=0.9)
    moved = averaging._average(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 2.0]), steps)
    assert moved.tolist() == pytest.approx([share, 2.0])


def test_what_counts_batches_is_taken_over_as_it_is() -> None:
    assert AveragedWeights(0.9)._average(torch.tensor(3), torch.tensor(7), 5).item() == 7
