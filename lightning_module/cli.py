"""`fit`, `validate` and `test` by LightningCLI."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lightning_module import resumption, tracking
from lightning_module.callbacks import AtomicCheckpointIO, PromptEnd, Throughput
from lightning_module.datamodule import LesionData
from lightning_module.datasets.errors import DatasetError
from lightning_module.module import LesionModule
from lightning_module.networks import WeightsUnavailable
from lightning_module.settings import UnfitSetting

LAST, BEST = "last.ckpt", "best.ckpt"
UNFIT_ADVICE = (
    # Batches are gathered whole from a memory map and augmented on the device.
    "does not have many workers",
    "overridden `on_after_batch_transfer` in `LightningModule`",
    # The command line is passed on as it came.
    "LightningCLI's args parameter",
    # The logs lie there already, and in their folder two loggers write side by side.
    "Checkpoint directory .* exists and is not empty",
    "Experiment logs directory .* exists and is not empty",
    "`isinstance.treespec, LeafSpec.` is deprecated",
)
ADVERTISEMENT = "litlogger"


class SavedConfig(SaveConfigCallback):
    """Writes config.yaml beside the logs; MLflow and W&B have no such folder, so with them into the run's own."""

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        logger = trainer.logger
        beside = logger.log_dir if isinstance(logger, TensorBoardLogger | CSVLogger) else trainer.default_root_dir
        folder = Path(beside)
        folder.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, folder / "config.yaml", skip_none=False, overwrite=True)


class LesionCLI(LightningCLI):
    """Adds the checkpoints, the logs and the resumption that every run has."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--resume", type=bool, default=True, help="fit continues from last.ckpt in its folder")
        for name in ("classes", "head"):
            parser.link_arguments(f"model.{name}", f"data.{name}")

    def _parse_ckpt_path(self) -> None:
        """Lightning would take a checkpoint's hyper-parameters for settings; ours also describe its data."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if config.data.folds:
            # Each fold is a training of its own, and must not resume another one's.
            config.trainer.default_root_dir = str(Path(config.trainer.default_root_dir) / f"fold_{config.data.fold}")
        folder = Path(config.trainer.default_root_dir)
        fitting = self.subcommand == "fit"
        known = folder / (LAST if fitting else BEST)
        if config.ckpt_path is None and known.exists() and (config.resume or not fitting):
            print(f"{'resuming' if fitting else 'weights'} from {known}", flush=True)
            config.ckpt_path = str(known)
            if fitting:
                tracking.take_up(config.trainer.logger, folder)
                config.trainer.enable_autolog_hparams &= tracking.logs_parameters(config.trainer.logger)
        if fitting and config.ckpt_path is not None:
            resumption.check(str(config.ckpt_path), folder, resumption.shaping(config))
        if config.ckpt_path is not None:
            # The checkpoint's weights follow; pretrained ones would be fetched for nothing.
            config.model.weights = None

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:
            if error.__cause__ is None or isinstance(error, UnfitSetting | DatasetError):
                raise
            raise UnfitSetting(_reason(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        config = self.config_init[self.subcommand].trainer
        root = config.default_root_dir
        callbacks: list[pl.Callback] = [*(config.callbacks or []), PromptEnd(), Throughput()]
        if not config.fast_dev_run:
            callbacks += _checkpoints(root)
            if self.subcommand == "fit":
                callbacks.append(resumption.NotedSettings(Path(root), resumption.shaping(self.config.fit)))
            if config.logger in (None, True):
                board = TensorBoardLogger(root, name="logs")
                kwargs["logger"] = [board, CSVLogger(root, name="logs", version=f"version_{board.version}")]
            if config.logger is not False:
                callbacks.append(LearningRateMonitor())
        plugins = [*(config.plugins or []), AtomicCheckpointIO()]
        trainer = super().instantiate_trainer(callbacks=callbacks, plugins=plugins, **kwargs)
        configured = self.config[self.subcommand].trainer.logger
        if not config.fast_dev_run:
            # Before images are decoded, which may take minutes.
            tracking.start(configured, trainer.loggers)
            if self.subcommand == "fit" and trainer.is_global_zero:
                tracking.record(configured, trainer.loggers, Path(root))
        return trainer


def main(argv: Sequence[str] | None = None) -> None:
    """Run one LightningCLI subcommand; what the user can mend ends in one line, not in a traceback."""
    for advice in UNFIT_ADVICE:
        warnings.filterwarnings("ignore", f".*{advice}")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_is_news)
    try:
        LesionCLI(
            LesionModule,
            LesionData,
            args=list(argv) if argv is not None else None,
            parser_kwargs={"prog": "python -m lightning_module"},
            seed_everything_default=0,
            trainer_defaults={"default_root_dir": "runs/lesion"},
            save_config_callback=SavedConfig,
            save_config_kwargs={"save_to_log_dir": False},
        )
    except (DatasetError, WeightsUnavailable, UnfitSetting, OSError) as error:
        sys.exit(f"error: {error}")
    except SIGTERMException:
        # Lightning would end with 0, and Kubernetes take an evicted run for a finished one.
        sys.exit(128 + signal.SIGTERM)


def _reason(error: BaseException) -> str:
    """Why the parser could not make a class: what the class said lies behind a list of the types that were tried."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return " ".join(str(error if type(cause) is ValueError else cause).split())


def _is_news(record: logging.LogRecord) -> bool:
    return ADVERTISEMENT not in record.getMessage()


def _checkpoints(folder: str) -> list[pl.Callback]:
    return [
        ModelCheckpoint(folder, filename="best", monitor="val/auroc", mode="max", enable_version_counter=False),
        ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False),
    ]
