"""Training callbacks: averaged weights, growing resolution, frozen backbones, a prompt end, throughput."""

# ruff: noqa: ARG002 - Lightning fixes the signatures
from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from lightning_module.settings import UnfitSetting, geometry_of


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames: a process killed while saving leaves the last checkpoint whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        target = Path(path)
        draft = target.with_name(f".{target.name}.draft")
        super().save_checkpoint(checkpoint, draft, storage_options)
        draft.replace(target)


class AveragedWeights(WeightAveraging):
    """Exponential moving average of weights and batch statistics: validated, and saved as the model's weights.

    The decay warms up as (1 + n) / (10 + n) until it reaches `decay`.
    """

    def __init__(self, decay: float = 0.998) -> None:
        self.decay = decay
        super().__init__(avg_fn=self._average)

    def _average(self, averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        steps = float(count)
        decay = min(self.decay, (1 + steps) / (10 + steps))
        if not averaged.is_floating_point():
            return current
        return torch.lerp(averaged, current.to(averaged.dtype), 1 - decay)


class GrowingResolution(pl.Callback):
    """Trains and validates at small sizes first: `sizes` maps the epoch from which a size holds to pixels."""

    def __init__(self, sizes: dict[int, int]) -> None:
        self.sizes = {int(epoch): int(size) for epoch, size in sizes.items()}
        if 0 not in self.sizes:
            raise UnfitSetting("sizes must say which size holds from epoch 0.")
        for size in self.sizes.values():
            geometry_of("a size of GrowingResolution", size)

    def size_at(self, epoch: int) -> int:
        """The size that holds in this epoch."""
        return self.sizes[max(first for first in self.sizes if first <= epoch)]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            trainer.datamodule.resize(self.sizes[0])  # type: ignore[attr-defined]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.datamodule.resize(self.size_at(trainer.current_epoch))  # type: ignore[attr-defined]


class FrozenBackbone(pl.Callback):
    """Trains the head alone until `unfreeze_at_epoch`; the frozen backbone keeps its batch statistics."""

    def __init__(self, unfreeze_at_epoch: int) -> None:
        self.unfreeze_at_epoch = unfreeze_at_epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        frozen = self._holds(trainer)
        # Ranks wait for the gradients of all that required some when they were joined, before the first epoch.
        _backbone(pl_module).requires_grad_(not frozen or trainer.world_size > 1)
        _backbone(pl_module).train(not frozen)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if self._holds(trainer):
            for parameter in _backbone(pl_module).parameters():
                # Neither decay nor momentum moves what has none, and no norm that is clipped contains it.
                parameter.grad = None

    def _holds(self, trainer: pl.Trainer) -> bool:
        return trainer.current_epoch < self.unfreeze_at_epoch


def _backbone(pl_module: pl.LightningModule) -> torch.nn.Module:
    return pl_module.network.backbone  # type: ignore[return-value, union-attr]


class PromptEnd(pl.Callback):
    """A rank of several ends at once when it gets SIGTERM, and the others by its loss; the last epoch is on disk.

    Lightning's own handler broadcasts first, and waits in that for ranks that got no signal.
    """

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._take_over(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._take_over(trainer)

    def _take_over(self, trainer: pl.Trainer) -> None:
        if trainer.world_size == 1:
            return

        def end(signum: int, _: FrameType | None) -> None:
            assert trainer.strategy.launcher is not None
            trainer.strategy.launcher.kill(signal.Signals(signum))
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)

        # Without Python's part the signal also ends a rank that waits for others inside a collective.
        signal.signal(signal.SIGTERM, end if trainer.strategy.launcher else signal.SIG_DFL)


class Throughput(pl.Callback):
    """Training images a second, on the progress bar and in the logs; a line an epoch where no terminal shows a bar."""

    def __init__(self) -> None:
        self._began = 0.0
        self._images = 0
        self._rate = 0.0
        self._validated = ""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = time.perf_counter()
        self._images = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._images += len(batch["row"]) * trainer.world_size
        self._rate = self._images / (time.perf_counter() - self._began)
        pl_module.log("img/s", self._rate, prog_bar=True, on_step=True, on_epoch=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if sys.stdout.isatty() or not trainer.is_global_zero:
            return
        size = trainer.datamodule.size  # type: ignore[attr-defined]
        print(f"epoch {trainer.current_epoch}: {size} px, {self._rate:.0f} img/s{self._validated}", flush=True)
        self._validated = ""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = trainer.callback_metrics
        self._validated = "".join(
            f", {name} {float(metrics[name]):.3f}" for name in ("val/loss", "val/auroc") if name in metrics
        )
