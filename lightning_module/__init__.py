"""Datasets, splits, training, evaluation and bundle making."""

from __future__ import annotations

from contextlib import suppress

# Before anything else here imports torchvision, which pytorch-lightning and torchmetrics do. Where it is not installed,
# the command line says what to do.
with suppress(ModuleNotFoundError):
    from lightning_module import vision as vision
