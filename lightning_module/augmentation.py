"""Augmentation of whole batches with torchvision v2, on whatever device the batch lies.

Every image of a batch gets its own draw; one vectorised pass costs a tenth of per-image transforms.
"""

# ruff: noqa: ARG002 - v2.Transform fixes the signature
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lightning_module.settings import UnfitSetting
from lightning_module.vision import v2

LUMA = (0.299, 0.587, 0.114)


class RandomView(v2.Transform):
    """Zoom, shear, rotation, shift and flips, seen through a random resolution, as floats of `size` pixels.

    The resolution draw keeps sharpness from becoming a clue: one for each of `groups` parts of the batch.
    """

    def __init__(
        self,
        size: int = 128,
        zoom: tuple[float, float] = (0.75, 1.4),
        shear: float = 10.0,
        rotation: float = 180.0,
        shift: float = 0.08,
        resolution: tuple[float, float] = (0.55, 1.8),
        groups: int = 8,
    ) -> None:
        super().__init__()
        self.size = size
        self.zoom = zoom
        self.shear = shear
        self.rotation = rotation
        self.shift = shift
        self.resolution = resolution
        self.groups = groups

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        return torch.cat([self._view(part) for part in inpt.chunk(min(self.groups, len(inpt)))])

    def _view(self, images: Tensor) -> Tensor:
        low, high = self.resolution
        side = round(self.size * low * (high / low) ** float(torch.rand(())))
        if side < images.shape[-1]:
            images = v2.functional.resize(images, [side, side], antialias=True)
        theta = self._matrices(len(images), images.device)
        shape = [len(images), images.shape[1], self.size, self.size]
        grid = functional.affine_grid(theta, shape, align_corners=False)
        return functional.grid_sample(images.float() / 255, grid, padding_mode="reflection", align_corners=False)

    def _matrices(self, count: int, device: torch.device) -> Tensor:
        angle = _uniform(count, -math.radians(self.rotation), math.radians(self.rotation), device)
        shear = torch.tan(_uniform(count, -math.radians(self.shear), math.radians(self.shear), device))
        zoom = torch.exp(_uniform(count, math.log(self.zoom[0]), math.log(self.zoom[1]), device))
        flip = torch.randint(0, 2, (count,), device=device) * 2.0 - 1.0
        cos, sin = torch.cos(angle), torch.sin(angle)
        rows = torch.stack([cos * flip, cos * shear - sin, sin * flip, sin * shear + cos], 1).view(count, 2, 2)
        shift = _uniform(2 * count, -self.shift, self.shift, device).view(count, 2, 1)
        return torch.cat([rows / zoom.view(count, 1, 1), shift], 2)


class RandomColour(v2.Transform):
    """Brightness, contrast, saturation, hue, gamma and a colour cast: skin tones, lamps and cameras differ."""

    def __init__(
        self,
        brightness: float = 0.25,
        contrast: float = 0.25,
        saturation: float = 0.3,
        hue: float = 0.03,
        gamma: float = 0.2,
        cast: float = 0.1,
    ) -> None:
        super().__init__()
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.gamma = gamma
        self.cast = cast

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        count, device = len(inpt), inpt.device
        exponent = torch.exp(_uniform(count, -self.gamma, self.gamma, device)).view(count, 1, 1, 1)
        images = inpt.clamp(1e-3, 1).pow(exponent)
        matrix = self._matrices(count, device)
        mean = images.mean((2, 3))
        contrast = (1 + _uniform(count, -self.contrast, self.contrast, device)).view(count, 1, 1)
        mixed = torch.einsum("nij,njhw->nihw", matrix * contrast, images)
        # Contrast turns about the mean, so that it does not change brightness.
        bias = torch.einsum("nij,nj->ni", matrix * (1 - contrast), mean)
        return (mixed + bias[:, :, None, None]).clamp(0, 1)

    def _matrices(self, count: int, device: torch.device) -> Tensor:
        identity = torch.eye(3, device=device)
        grey = torch.tensor(LUMA, device=device).expand(3, 3)
        saturation = (1 + _uniform(count, -self.saturation, self.saturation, device)).view(count, 1, 1)
        saturate = grey + saturation * (identity - grey)
        angle = _uniform(count, -self.hue, self.hue, device) * 2 * math.pi
        gains = (1 + _uniform(count, -self.brightness, self.brightness, device)).view(count, 1)
        gains = gains * (1 + _uniform(3 * count, -self.cast, self.cast, device).view(count, 3))
        return torch.diag_embed(gains) @ _turned_about_grey(angle) @ saturate


class Mix(v2.Transform):
    """MixUp or CutMix or neither, by the given shares; labels become soft."""

    def __init__(self, num_classes: int, mixup: float = 0.3, cutmix: float = 0.3, alpha: float = 0.4) -> None:
        super().__init__()
        if mixup < 0 or cutmix < 0 or mixup + cutmix > 1:
            raise UnfitSetting("mixup and cutmix are shares of the batches: not negative, together at most 1.")
        self.num_classes = num_classes
        self.shares = (mixup, cutmix)
        self.mixup = v2.MixUp(alpha=alpha, num_classes=num_classes)
        self.cutmix = v2.CutMix(alpha=1.0, num_classes=num_classes)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        draw = float(torch.rand(()))
        if draw < self.shares[0]:
            return self.mixup(images, labels)  # type: ignore[no-any-return]
        if draw < sum(self.shares):
            return self.cutmix(images, labels)  # type: ignore[no-any-return]
        return images, functional.one_hot(labels, self.num_classes).float()


def _uniform(count: int, low: float, high: float, device: torch.device) -> Tensor:
    return torch.rand(count, device=device) * (high - low) + low


def _turned_about_grey(angle: Tensor) -> Tensor:
    """Rotations [N, 3, 3] of the colour cube about its grey diagonal."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    axis = 1 / math.sqrt(3)
    same = cos + (1 - cos) / 3
    less, more = (1 - cos) / 3 - axis * sin, (1 - cos) / 3 + axis * sin
    return torch.stack([same, less, more, more, same, less, less, more, same], 1).view(-1, 3, 3)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Floats in 0..1 to the network's input."""
    normalised: Tensor = v2.functional.normalize(images, list(mean), list(std))
    return normalised
