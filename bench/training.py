"""Is training bound by the model? The throughput of the real loaders against the same loop on random tensors.

python -m bench training --architecture resnet50 --size 224
"""

from __future__ import annotations

# Before Lightning imports torchvision: it defines what that misses beside a CPU build of torch.
import lightning_module  # noqa: F401

# isort: split
import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from bench.materials import BUILD
from bench.payloads import draw
from lightning_module.datamodule import Batch, LesionData
from lightning_module.module import LesionModule

IMAGES = 500
WARM_UP = 5
AIM = 0.9


class RandomTensors(LesionData):
    """The same batches by shape and type, already in memory."""

    def train_dataloader(self) -> Any:
        real = super().train_dataloader()
        example: Batch = next(iter(real))
        pixels = torch.randint(0, 256, example["pixels"].shape, dtype=torch.uint8)
        # As the real ones lie: NHWC in memory.
        batch: dict[str, Tensor] = example | {"pixels": pixels.contiguous(memory_format=torch.channels_last)}
        return [batch] * len(real)


class Clock(pl.Callback):
    """Counts images after the warm-up."""

    def __init__(self) -> None:
        self.images = 0
        self.started = 0.0
        self.seconds = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        del pl_module, outputs, batch_idx
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if trainer.global_step == WARM_UP:
            self.started = time.perf_counter()
        elif trainer.global_step > WARM_UP:
            self.images += len(batch["row"])
            self.seconds = time.perf_counter() - self.started

    @property
    def rate(self) -> float:
        return self.images / self.seconds


def throughput(data: LesionData, architecture: str, steps: int) -> float:
    """Images a second through the whole training loop, augmentation and optimiser included."""
    clock = Clock()
    trainer = pl.Trainer(
        max_steps=WARM_UP + steps,
        limit_val_batches=0,
        precision="bf16-mixed",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock],
        default_root_dir=BUILD,
    )
    trainer.fit(LesionModule(architecture=architecture, weights=None), datamodule=data)
    return clock.rate


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench training", description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--data", type=Path, help="a dataset folder; drawn lesions where none is given")
    chosen = parser.parse_args(arguments)
    options = {
        "folder": str(chosen.data or draw(BUILD / "training", IMAGES, (200, 150))),
        "size": chosen.size,
        "batch_size": chosen.batch_size,
        "workers": chosen.workers,
        "cache_folder": str(BUILD / "cache"),
    }
    pl.seed_everything(0)
    # In turn and twice, so that a machine that slows down flatters neither.
    rates = [throughput(kind(**options), chosen.architecture, chosen.steps) for kind in (LesionData, RandomTensors) * 2]
    loaders, tensors = (rates[0] + rates[2]) / 2, (rates[1] + rates[3]) / 2
    ratio = loaders / tensors
    print(f"{chosen.architecture}, {chosen.size} px, batches of {chosen.batch_size}")
    print(f"  from the loaders      {loaders:8.1f} images/s")
    print(f"  from random tensors   {tensors:8.1f} images/s")
    print(f"  ratio                 {ratio:8.2f}   (aim: at least {AIM})")
    return 0 if ratio >= AIM else 1
