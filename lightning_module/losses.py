"""Losses. Each takes logits [N, C] and soft targets [N, K] whose rows sum to one, and gives one number.

A sigmoid head has C = 1 and K = 2 (benign, malignant); a softmax head has C = K.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_module.settings import UnfitSetting, made


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy; `positive_weight` multiplies the loss of malignant samples."""

    positive_weight: Tensor

    def __init__(self, positive_weight: float = 1.0, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("positive_weight", torch.tensor(positive_weight), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        target = targets[:, 1] * (1 - self.label_smoothing) + self.label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(logits[:, 0], target, pos_weight=self.positive_weight)


class Focal(nn.Module):
    """Focal loss of Lin et al. 2017 on the sigmoid: confident samples count less, by the power `gamma`."""

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25) -> None:
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        logit, target = logits[:, 0], targets[:, 1]
        missed = torch.sigmoid(logit) * (1 - target) + torch.sigmoid(-logit) * target
        weight = self.alpha * target + (1 - self.alpha) * (1 - target)
        entropy = functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
        return (weight * missed**self.gamma * entropy).mean()


class CrossEntropy(nn.Module):
    """Softmax cross-entropy with label smoothing and class weights.

    `malignancy` adds that much of the binary cross-entropy of the summed malignant probability, the served number.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        label_smoothing: float = 0.0,
        malignancy: float = 0.0,
        class_weights: Sequence[float] | None = None,
        malignant_indices: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.malignancy = malignancy
        self.malignant_indices = list(malignant_indices)
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        loss = functional.cross_entropy(
            logits, targets, weight=self.class_weights, label_smoothing=self.label_smoothing
        )
        if self.malignancy:
            logit = malignant_logit(logits, self.malignant_indices)
            target = targets[:, self.malignant_indices].sum(1).clamp(0, 1)
            loss = loss + self.malignancy * functional.binary_cross_entropy_with_logits(logit, target)
        return loss


LOSSES: dict[str, Callable[..., nn.Module]] = {
    "bce": BinaryCrossEntropy,
    "weighted_bce": BinaryCrossEntropy,
    "focal": Focal,
    "cross_entropy": CrossEntropy,
}


def make(name: str, head: str, **options: Any) -> nn.Module:
    """The loss by name; ValueError where it does not fit the head."""
    if name not in LOSSES:
        raise UnfitSetting(f"Unknown loss {name!r}. Known: {', '.join(LOSSES)}.")
    if (name == "cross_entropy") != (head == "softmax"):
        raise UnfitSetting(
            f"Loss {name!r} does not fit a {head} head: softmax takes cross_entropy, sigmoid the others."
        )
    if name == "weighted_bce" and "positive_weight" not in options:
        raise UnfitSetting("weighted_bce needs positive_weight: how many times a malignant sample counts.")
    return made("model.loss_options", LOSSES[name], options)


def malignant_logit(logits: Tensor, malignant_indices: Sequence[int]) -> Tensor:
    """The logit [N] of malignancy: of a sigmoid head its only one, of a softmax head that of the summed probability."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    malignant = list(malignant_indices)
    benign = [index for index in range(logits.shape[1]) if index not in malignant]
    return torch.logsumexp(logits[:, malignant], 1) - torch.logsumexp(logits[:, benign], 1)
