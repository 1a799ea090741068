"""MobileNetV2 and EfficientNet-B4; the state-dict names below `backbone.` are torchvision's."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from handler.networks.network import PooledNetwork
from handler.networks.resnet import SqueezeExcitation

# expansion, kernel, stride, channels, repeats: table 2 of Sandler et al. 2018, table 1 of Tan and Le 2019.
MOBILENET_V2 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 3, 2, 32, 3),
    (6, 3, 2, 64, 4),
    (6, 3, 1, 96, 3),
    (6, 3, 2, 160, 3),
    (6, 3, 1, 320, 1),
)
EFFICIENTNET_B0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
B4_WIDTH, B4_DEPTH = 1.4, 1.8


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and, unless it is None, an activation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, activation: type[nn.Module] | None
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        if activation is not None:
            layers.append(activation(inplace=True))
        super().__init__(*layers)


class MobileBlock(nn.Module):
    """MobileNetV2's inverted residual."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [ConvNorm(inputs, hidden, 1, 1, 1, nn.ReLU6)] if expansion > 1 else []
        depthwise = ConvNorm(hidden, hidden, kernel, stride, hidden, nn.ReLU6)
        project = [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*expand, depthwise, *project)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class EfficientBlock(nn.Module):
    """EfficientNet's inverted residual: with a squeeze-excitation gate, and dropped whole at random in training."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, drop: float) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [ConvNorm(inputs, hidden, 1, 1, 1, nn.SiLU)] if expansion > 1 else []
        depthwise = ConvNorm(hidden, hidden, kernel, stride, hidden, nn.SiLU)
        gate = SqueezeExcitation(hidden, max(1, inputs // 4), nn.SiLU)
        self.block = nn.Sequential(*expand, depthwise, gate, ConvNorm(hidden, outputs, 1, 1, 1, None))
        self.residual = stride == 1 and inputs == outputs
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        if not self.residual:
            return out
        if self.training and self.drop:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
            out = out * kept / (1 - self.drop)
        return x + out


class Features(nn.Module):
    """Everything before the pooling."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)  # type: ignore[no-any-return]


def mobilenet_v2(num_outputs: int, dropout: float = 0.2) -> PooledNetwork:
    layers: list[nn.Module] = [ConvNorm(3, 32, 3, 2, 1, nn.ReLU6)]
    width = 32
    for expansion, kernel, stride, channels, repeats in MOBILENET_V2:
        for position in range(repeats):
            layers.append(MobileBlock(width, channels, expansion, kernel, stride if position == 0 else 1))
            width = channels
    layers.append(ConvNorm(width, 1280, 1, 1, 1, nn.ReLU6))
    return PooledNetwork(Features(*layers), 1280, num_outputs, dropout)


def efficientnet_b4(num_outputs: int, dropout: float = 0.4, drop_path: float = 0.2) -> PooledNetwork:
    width = _widened(32)
    layers: list[nn.Module] = [ConvNorm(3, width, 3, 2, 1, nn.SiLU)]
    repeats = [math.ceil(row[-1] * B4_DEPTH) for row in EFFICIENTNET_B0]
    made = 0
    for (expansion, kernel, stride, channels, _), count in zip(EFFICIENTNET_B0, repeats, strict=True):
        stage = []
        for position in range(count):
            drop = drop_path * made / sum(repeats)
            outputs = _widened(channels)
            stage.append(EfficientBlock(width, outputs, expansion, kernel, stride if position == 0 else 1, drop))
            width = outputs
            made += 1
        layers.append(nn.Sequential(*stage))
    layers.append(ConvNorm(width, 4 * width, 1, 1, 1, nn.SiLU))
    return PooledNetwork(Features(*layers), 4 * width, num_outputs, dropout)


def _widened(channels: int) -> int:
    """B4's channels, a multiple of eight that is never more than a tenth too small."""
    wide = channels * B4_WIDTH
    rounded = max(8, int(wide + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wide else rounded + 8
