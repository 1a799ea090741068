"""Hairs and rulers drawn over batches: what lies on skin in dermoscopy and must not become a clue."""

# ruff: noqa: ARG002 - v2.Transform fixes the signature
from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lightning_module.vision import v2


class RandomOcclusion(v2.Transform):
    """Dark curved strands on the share `hair` of the images, a scale with ticks on the share `ruler`."""

    def __init__(self, hair: float = 0.0, ruler: float = 0.0, strands: int = 8, thickness: float = 0.012) -> None:
        super().__init__()
        self.hair = hair
        self.ruler = ruler
        self.strands = strands
        self.thickness = thickness

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        images = inpt
        for share, draw in ((self.hair, self._strands), (self.ruler, self._scale)):
            chosen = torch.rand(len(images), device=images.device) < share
            if chosen.any():
                images = images.clone() if images is inpt else images
                light = 1 - draw(int(chosen.sum()), images.shape[2], images.shape[3], images.device)
                images[chosen] = images[chosen] * light[:, None]
        return images

    def _strands(self, count: int, height: int, width: int, device: torch.device) -> Tensor:
        """Darkness [N, h, w] of parabolas in random directions."""
        x, y = _plane(height, width, device)
        draws = [_spread(count, self.strands, low, high, device) for low, high in self._ranges()]
        angle, offset, bend, thickness, darkness = draws
        along = x * torch.cos(angle) + y * torch.sin(angle)
        across = y * torch.cos(angle) - x * torch.sin(angle)
        distance = across - offset - bend * along**2
        return (darkness * torch.exp(-((distance / thickness) ** 2))).amax(1)

    def _ranges(self) -> list[tuple[float, float]]:
        return [(0, math.pi), (-0.9, 0.9), (-0.5, 0.5), (0.5 * self.thickness, 1.5 * self.thickness), (0.3, 0.9)]

    def _scale(self, count: int, height: int, width: int, device: torch.device) -> Tensor:
        """Darkness [N, h, w] of ticks along a line near the border."""
        x, y = _plane(height, width, device)
        angle, offset = _spread(count, 1, 0, 2 * math.pi, device), _spread(count, 1, 0.55, 0.9, device)
        period, length = _spread(count, 1, 0.06, 0.2, device), _spread(count, 1, 0.05, 0.15, device)
        along = x * torch.cos(angle) + y * torch.sin(angle)
        across = y * torch.cos(angle) - x * torch.sin(angle) - offset
        tick = (torch.remainder(along, period) < 0.15 * period) & (across > 0) & (across < length)
        return 0.7 * tick[:, 0].float()


def _plane(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=device), torch.linspace(-1, 1, width, device=device), indexing="ij"
    )
    return x, y


def _spread(count: int, each: int, low: float, high: float, device: torch.device) -> Tensor:
    return torch.rand(count, each, 1, 1, device=device) * (high - low) + low
