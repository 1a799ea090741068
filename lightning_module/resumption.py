"""A training goes on with the settings that it began with: its folder notes them, and others are refused."""

# ruff: noqa: ARG002 - Lightning fixes the signatures
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from jsonargparse import Namespace

from lightning_module.settings import UnfitSetting

FILE = "settings.json"
FREE_OF_MODEL = ("weights", "compile", "channels_last")
SHAPING_DATA = (
    "size",
    "crop",
    "cache_size",
    "batch_size",
    "weighted_sampling",
    "one_image_a_lesion",
    "majority_per_site",
)
SHAPING_TRAINER = (
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "limit_train_batches",
    "overfit_batches",
)
SHAPING_CALLBACKS = (
    "AveragedWeights",
    "GrowingResolution",
    "FrozenBackbone",
    "GradientAccumulationScheduler",
    "StochasticWeightAveraging",
)
RESTORED = (
    "architecture",
    "network",
    "head",
    "classes",
    "optimizer",
    "lr",
    "weight_decay",
    "optimizer_options",
)
"""What comes with the state in a checkpoint, whichever folder it is from: other values would be noted but not used."""


class NotedSettings(pl.Callback):
    """Writes down in the run's folder, with its first checkpoint, which settings shape it."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.file = folder / FILE
        self.text = json.dumps(settings, indent=1) + "\n"

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if not trainer.is_global_zero or (self.file.exists() and self.file.read_text(encoding="utf-8") == self.text):
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_name(f".{FILE}.draft")
        draft.write_text(self.text, encoding="utf-8")
        draft.replace(self.file)


def shaping(config: Namespace) -> dict[str, Any]:
    """The settings of `fit` that its result depends on, by name, as JSON has them; the split is checked elsewhere."""
    model, data, trainer = (config[part].as_dict() for part in ("model", "data", "trainer"))
    callbacks = [(entry["class_path"].rpartition(".")[2], entry.get("init_args")) for entry in _listed(trainer)]
    found = {
        "seed_everything": config.seed_everything,
        **{f"model.{name}": value for name, value in model.items() if name not in FREE_OF_MODEL},
        **{f"data.{name}": data[name] for name in SHAPING_DATA},
        **{f"trainer.{name}": trainer[name] for name in SHAPING_TRAINER},
        "trainer.callbacks": {name: given for name, given in callbacks if name in SHAPING_CALLBACKS},
    }
    return dict(json.loads(json.dumps(found, default=str)))


def check(checkpoint: str, folder: Path, now: dict[str, Any]) -> None:
    """UnfitSetting where the folder's own training would go on with other settings; one of another folder may."""
    file, source = folder / FILE, Path(checkpoint)
    elsewhere = source.is_file() and source.resolve().parent != folder.resolve()
    if elsewhere or not file.exists():
        return
    then = json.loads(file.read_text(encoding="utf-8"))
    if changed := _changed(then, now):
        raise UnfitSetting(
            f"The training in {folder} has other settings: {changed}. Give its own again, "
            "or train in another trainer.default_root_dir; --resume false starts it over."
        )


def check_restored(then: dict[str, Any], now: dict[str, Any]) -> None:
    """UnfitSetting where a checkpoint's state would overrule these hyper-parameters of the model."""
    if changed := _changed({f"model.{name}": then[name] for name in RESTORED if name in then}, _named(now)):
        raise UnfitSetting(
            f"What goes on from a checkpoint keeps its network and optimiser: {changed}. Give the checkpoint's values "
            "(a schedule changes the rate), or --resume false in another trainer.default_root_dir."
        )


def _named(settings: dict[str, Any]) -> dict[str, Any]:
    return {f"model.{name}": value for name, value in settings.items()}


def _listed(trainer: dict[str, Any]) -> list[dict[str, Any]]:
    callbacks = trainer["callbacks"] or []
    return callbacks if isinstance(callbacks, list) else [callbacks]


def _changed(then: dict[str, Any], now: dict[str, Any]) -> str:
    pairs = {name: (then[name], now[name]) for name in then if name in now}
    return ", ".join(
        f"{name} was {_told(old)} and is {_told(new)}" for name, (old, new) in pairs.items() if (old or 0) != (new or 0)
    )


def _told(value: Any) -> str:
    return json.dumps(value, default=str)
