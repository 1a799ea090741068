"""Metrics over distinct images: ranks that share images out repeat some, so that each has as many as the others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class OverDistinctImages(Metric):
    """`score` of probabilities and truths in which no image counts twice, however often its row came."""

    full_state_update = False
    rows: list[Tensor]
    probabilities: list[Tensor]
    truths: list[Tensor]

    def __init__(self, score: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.score = score
        for name in ("rows", "probabilities", "truths"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, rows: Tensor, probabilities: Tensor, truths: Tensor) -> None:
        self.rows.append(rows)
        self.probabilities.append(probabilities)
        self.truths.append(truths)

    def compute(self) -> Tensor:
        rows, order = torch.sort(dim_zero_cat(self.rows), stable=True)
        chosen = order[torch.cat([rows.new_ones(1, dtype=torch.bool), rows[1:] != rows[:-1]])]
        return self.score(dim_zero_cat(self.probabilities)[chosen], dim_zero_cat(self.truths)[chosen])
