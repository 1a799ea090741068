"""ResNet-18/34/50 and SE-ResNet-50; the state-dict names below `backbone.` are torchvision's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from handler.networks.network import PooledNetwork


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from all channels' means."""

    def __init__(self, channels: int, squeezed: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        gate = self.activation(self.fc1(nn.functional.adaptive_avg_pool2d(x, 1)))
        return x * torch.sigmoid(self.fc2(gate))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int = 1, reduction: int | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.se = SqueezeExcitation(planes, planes // reduction) if reduction else None
        self.downsample = _shortcut(inputs, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.se is not None:
            out = self.se(out)
        out = out + (x if self.downsample is None else self.downsample(x))
        return self.relu(out)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int = 1, reduction: int | None = None) -> None:
        super().__init__()
        outputs = planes * self.expansion
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.se = SqueezeExcitation(outputs, outputs // reduction) if reduction else None
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.se is not None:
            out = self.se(out)
        out = out + (x if self.downsample is None else self.downsample(x))
        return self.relu(out)  # type: ignore[no-any-return]


class ResNetBackbone(nn.Module):
    """Everything before the pooling."""

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int], reduction: int | None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.stages = [f"layer{stage + 1}" for stage in range(len(depths))]
        width = 64
        for stage, depth in enumerate(depths):
            planes = 64 * 2**stage
            blocks = []
            for position in range(depth):
                stride = 2 if stage and not position else 1
                blocks.append(block(width, planes, stride, reduction))
                width = planes * block.expansion
            self.add_module(self.stages[stage], nn.Sequential(*blocks))
        self.features = width
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (BasicBlock, Bottleneck)):
                # Each block starts as the identity, which steadies training from scratch.
                last = module.bn2 if isinstance(module, BasicBlock) else module.bn3
                nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return x


def resnet18(num_outputs: int, dropout: float = 0.0) -> PooledNetwork:
    return _resnet(BasicBlock, (2, 2, 2, 2), num_outputs, dropout)


def resnet34(num_outputs: int, dropout: float = 0.0) -> PooledNetwork:
    return _resnet(BasicBlock, (3, 4, 6, 3), num_outputs, dropout)


def resnet50(num_outputs: int, dropout: float = 0.0) -> PooledNetwork:
    return _resnet(Bottleneck, (3, 4, 6, 3), num_outputs, dropout)


def se_resnet50(num_outputs: int, dropout: float = 0.0, reduction: int = 16) -> PooledNetwork:
    return _resnet(Bottleneck, (3, 4, 6, 3), num_outputs, dropout, reduction)


def _resnet(
    block: type[BasicBlock] | type[Bottleneck],
    depths: Sequence[int],
    num_outputs: int,
    dropout: float,
    reduction: int | None = None,
) -> PooledNetwork:
    backbone = ResNetBackbone(block, depths, reduction)
    return PooledNetwork(backbone, backbone.features, num_outputs, dropout)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
