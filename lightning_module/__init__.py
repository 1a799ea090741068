"""Datasets, splits, training, evaluation and bundle making."""

from __future__ import annotations

# Before anything else here imports torchvision, which pytorch-lightning and torchmetrics do.
from lightning_module import vision as vision
