"""`fit`, `validate`, `test` and `predict` by LightningCLI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from lightning_module.callbacks import AtomicCheckpointIO, Throughput
from lightning_module.datamodule import LesionData
from lightning_module.module import LesionModule

LAST = "last.ckpt"


class LesionCLI(LightningCLI):
    """Adds the checkpoints, the logs and the resumption that every run has."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--resume", type=bool, default=True, help="continue from last.ckpt in the run's folder")
        for name in ("classes", "head"):
            parser.link_arguments(f"model.{name}", f"data.{name}")

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        last = Path(config.trainer.default_root_dir or ".") / LAST
        if self.subcommand == "fit" and config.resume and config.ckpt_path is None and last.exists():
            print(f"resuming from {last}", flush=True)
            config.ckpt_path = str(last)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        config = self.config_init[self.subcommand].trainer
        root = config.default_root_dir or "."
        kwargs["plugins"] = [*(config.plugins or []), AtomicCheckpointIO()]
        kwargs["callbacks"] = [*(config.callbacks or []), Throughput()]
        if not config.fast_dev_run:
            kwargs["callbacks"] += _checkpoints(root)
        if config.logger in (None, True) and not config.fast_dev_run:
            kwargs["logger"] = [TensorBoardLogger(root, name="logs"), CSVLogger(root, name="logs")]
            kwargs["callbacks"].append(LearningRateMonitor())
        return super().instantiate_trainer(**kwargs)


def _checkpoints(folder: str) -> list[pl.Callback]:
    return [
        ModelCheckpoint(folder, filename="best", monitor="val/auroc", mode="max", enable_version_counter=False),
        ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Run one LightningCLI subcommand."""
    LesionCLI(
        LesionModule,
        LesionData,
        args=list(argv) if argv is not None else None,
        seed_everything_default=0,
        trainer_defaults={"default_root_dir": "runs/lesion"},
        save_config_kwargs={"overwrite": True},
    )
