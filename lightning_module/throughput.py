"""Is training bound by the model? Images a second of the real loop, beside the same loop on random tensors.

python -m lightning_module throughput --data data/ham10000 --architecture resnet50 --size 224 --precision bf16-mixed
"""

# ruff: noqa: ARG002 - Lightning fixes the signatures
from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from lightning_module.datamodule import Batch, LesionData
from lightning_module.datasets import DatasetError
from lightning_module.module import LesionModule
from lightning_module.settings import UnfitSetting

WARMUP = 5


class Clock(pl.Callback):
    """Times whole steps, the device's work included, after a warm-up."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.images = 0
        self._began = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == WARMUP - 1:
            self._began = _now(pl_module.device)
        elif batch_idx >= WARMUP:
            self.images += len(batch["row"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = _now(pl_module.device) - self._began


class RandomTensors(LesionModule):
    """The same model fed with one batch of noise that already lies on the device."""

    _kept: Batch | None = None

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return batch

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        if self._kept is None:
            self._kept = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return self._kept


class RandomData(LesionData):
    """Noise of the same shape; reads no image."""

    def prepare_data(self) -> None:
        """Nothing to decode."""

    def train_dataloader(self) -> DataLoader[Batch]:
        count, size = self.hparams["batch_size"], self.hparams["size"]
        targets = functional.one_hot(torch.randint(0, 2, (count,)), 2).float()
        batch: dict[str, Tensor] = {
            "images": torch.rand(count, 3, size, size),
            "targets": targets,
            "row": torch.arange(count),
        }
        return DataLoader([batch] * len(super().train_dataloader()), batch_size=None)  # type: ignore[arg-type]


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(model: LesionModule, data: LesionData, steps: int, **trainer_options: Any) -> float:
    """Images a second over `steps` steps after the warm-up."""
    clock = Clock()
    trainer = pl.Trainer(
        max_epochs=1,
        limit_train_batches=steps + WARMUP,
        limit_val_batches=0,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        **trainer_options,
    )
    trainer.fit(model, datamodule=data)
    if not clock.images:
        raise SystemExit(f"The dataset has too few images: more than {WARMUP} batches are needed. Lower --batch-size.")
    return clock.images / clock.seconds


def main(argv: Sequence[str] | None = None) -> None:
    """The command `throughput`."""
    parser = argparse.ArgumentParser(prog="python -m lightning_module throughput", description=__doc__)
    parser.add_argument("--data", required=True, help="dataset folder")
    parser.add_argument("--architecture", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--precision", default="32-true", help="Trainer's: 32-true, bf16-mixed, 16-mixed")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--cache-folder", default="cache")
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args(argv)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    model = {"architecture": options.architecture, "weights": None, "optimizer": "sgd", "compile": options.compile}
    data = {
        "folder": options.data,
        "size": options.size,
        "batch_size": options.batch_size,
        "workers": options.workers,
        "cache_folder": options.cache_folder,
    }
    trainer = {"precision": options.precision, "accelerator": options.accelerator, "devices": 1}
    try:
        noise = measure(RandomTensors(**model), RandomData(**data), options.steps, **trainer)
        real = measure(LesionModule(**model), LesionData(**data), options.steps, **trainer)
    except (DatasetError, UnfitSetting) as error:
        sys.exit(f"throughput: {error}")
    figures = {
        "architecture": options.architecture,
        "size": options.size,
        "batch_size": options.batch_size,
        "precision": options.precision,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} threads",
        "images_per_second": round(real, 1),
        "random_tensors_per_second": round(noise, 1),
        "ratio": round(real / noise, 3),
    }
    print(json.dumps(figures, indent=2))
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")
