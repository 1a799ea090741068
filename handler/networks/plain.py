"""Two small networks without shortcuts: one for any input size, and the 28x28 seven-class one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handler.networks.network import Network


class FlattenedNetwork(Network):
    """A convolutional trunk whose flattened map goes through dense layers; `head` is the last of them."""

    def __init__(self, backbone: nn.Module, neck: nn.Module, features: int, num_outputs: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = nn.Linear(features, num_outputs)

    def forward_features_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(x)
        return self.head(self.neck(features)), features


def small_cnn(num_outputs: int, width: int = 32, blocks: int = 4, dropout: float = 0.3) -> FlattenedNetwork:
    """Blocks of one shape: two equal 3x3 convolutions with batch norm, then max-pooling."""
    layers: list[nn.Module] = []
    inputs = 3
    for _ in range(blocks):
        for _ in range(2):
            layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    neck = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(dropout))
    return FlattenedNetwork(nn.Sequential(*layers), neck, 16 * width, num_outputs)


def cnn28(num_outputs: int = 7, dropout: float = 0.2) -> FlattenedNetwork:
    """For 28x28 input; with seven outputs 502,983 parameters and 1,120 running statistics."""
    trunk = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.BatchNorm2d(16)),
        *(nn.Conv2d(16, 32, 3), nn.ReLU(inplace=True)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.BatchNorm2d(64)),
        *(nn.Conv2d(64, 128, 3), nn.ReLU(inplace=True)),
        *(nn.Conv2d(128, 256, 3), nn.ReLU(inplace=True)),
    )
    neck = nn.Sequential(
        *(nn.Flatten(), nn.Dropout(dropout)),
        *(nn.Linear(256, 256), nn.ReLU(inplace=True), nn.BatchNorm1d(256)),
        *(nn.Linear(256, 128), nn.ReLU(inplace=True), nn.BatchNorm1d(128)),
        *(nn.Linear(128, 64), nn.ReLU(inplace=True), nn.BatchNorm1d(64), nn.Dropout(dropout)),
        *(nn.Linear(64, 32), nn.ReLU(inplace=True), nn.BatchNorm1d(32)),
    )
    return _Network28(trunk, neck, 32, num_outputs)


class _Network28(FlattenedNetwork):
    def forward_features_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        torch._assert(x.shape[2] == 28 and x.shape[3] == 28, "cnn28 takes 28x28 images: set data.size to 28.")  # type: ignore[no-untyped-call]
        return super().forward_features_and_logits(x)
