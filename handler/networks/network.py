"""What every network promises."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """A network whose last linear layer is `head` and whose last feature map can be read out."""

    head: nn.Linear

    def forward_features_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The logits [N, C] and the last feature map [N, F, h, w]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The logits [N, C]."""
        return self.forward_features_and_logits(x)[0]


class PooledNetwork(Network):
    """A convolutional backbone, global average pooling, dropout and one linear layer: fit for class-activation maps."""

    def __init__(self, backbone: nn.Module, features: int, num_outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, num_outputs)

    def forward_features_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(x)
        pooled = torch.flatten(nn.functional.adaptive_avg_pool2d(features, 1), 1)
        return self.head(self.dropout(pooled)), features
