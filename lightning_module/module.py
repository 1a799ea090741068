"""The training loop's model: network, loss, optimiser, schedule, metrics."""

# ruff: noqa: ARG002 - Lightning fixes the signatures; save_hyperparameters reads the arguments
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from handler.geometry import Geometry
from handler.manifest import Normalisation
from lightning_module import losses, networks, resumption, schedules, scrutiny, splits
from lightning_module.augmentation import Mix, RandomColour, RandomView, normalise
from lightning_module.datamodule import Batch, LesionData
from lightning_module.distinct_images import OverDistinctImages
from lightning_module.occlusion import RandomOcclusion
from lightning_module.settings import UnfitSetting, made

IMAGENET = Normalisation()
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


class LesionModule(pl.LightningModule):
    """Learns malignancy (sigmoid head) or diagnoses (softmax head, `malignant` named among `classes`)."""

    def __init__(
        self,
        architecture: str = "resnet18",
        network: dict[str, Any] | None = None,
        weights: str | None = "imagenet",
        head: str = "sigmoid",
        classes: Sequence[str] = ("benign", "malignant"),
        malignant: Sequence[str] = ("malignant",),
        loss: str = "bce",
        loss_options: dict[str, Any] | None = None,
        class_weights: float = 0.0,
        optimizer: str = "adamw",
        lr: float = 1e-3,
        weight_decay: float = 0.05,
        optimizer_options: dict[str, Any] | None = None,
        schedule: str = "one_cycle",
        schedule_options: dict[str, Any] | None = None,
        view: dict[str, Any] | None = None,
        colour: dict[str, Any] | None = None,
        occlusion: dict[str, Any] | None = None,
        mix: dict[str, Any] | None = None,
        mean: Sequence[float] = IMAGENET.mean,
        std: Sequence[float] = IMAGENET.std,
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        for name in ("classes", "malignant", "mean", "std"):
            self.hparams[name] = list(self.hparams[name])
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise UnfitSetting(
                "model.mean and model.std are three numbers each, one a colour; those of std are above 0."
            )
        self.malignant_indices = _malignant_indices(head, classes, malignant)
        outputs = 1 if head == "sigmoid" else len(classes)
        self.network = networks.build(architecture, outputs, weights, **(network or {}))
        if channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = self._loss(None)
        self.schedule = schedules.make(schedule, **(schedule_options or {}))
        self.view = made("model.view", RandomView, view)
        self.occlusion = made("model.occlusion", RandomOcclusion, occlusion)
        self.colour = made("model.colour", RandomColour, colour)
        self.mix = made("model.mix", Mix, mix, num_classes=max(2, len(classes)))
        self.auroc = OverDistinctImages(binary_auroc)
        self.average_precision = OverDistinctImages(binary_average_precision)
        if compile:
            # In place: a wrapper would be a second module, and give every weight a second name in checkpoints.
            self.network.compile()
        self.register_load_state_dict_pre_hook(_forget_second_names)  # type: ignore[no-untyped-call]
        self._seed = torch.initial_seed()
        self._described: dict[str, Any] | None = None

    @property
    def data(self) -> LesionData:
        """The data module in use."""
        return self.trainer.datamodule  # type: ignore[attr-defined, no-any-return]

    def setup(self, stage: str) -> None:
        """Class weights come from the training rows."""
        if stage == "fit":
            scrutiny.require_both(self.data.table, self.data.train_rows)
            self.loss = self._loss(self.data.class_counts())

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of uint8 NCHW pixels."""
        return self._logits(pixels.float() / 255)

    def on_train_epoch_start(self) -> None:
        """Dropout and augmentation depend on seed and epoch alone: a resumed run repeats what it would have done."""
        torch.manual_seed(((self._seed * 1009 + self.global_rank) * 100_003 + self.current_epoch) % 2**63)
        self.view.size = self.data.size

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Training batches are augmented here: on the device, and in full precision."""
        if not self.trainer.training:
            return batch
        images = self.colour(self.occlusion(self.view(batch["pixels"])))
        images, targets = self.mix(images, batch["label"])
        return {"images": images, "targets": targets, "row": batch["row"]}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss: Tensor = self.loss(self._logits(batch["images"]).float(), batch["targets"])
        self.log(
            "train/loss",
            loss,
            prog_bar=True,
            on_step=False,
            on_epoch=True,
            sync_dist=True,
            batch_size=len(batch["row"]),
        )
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def configure_optimizers(self) -> Any:
        options = self.hparams
        parameters = list(self.network.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options["weight_decay"]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        if options["optimizer"] not in OPTIMISERS:
            raise UnfitSetting(f"Unknown optimizer {options['optimizer']!r}. Known: {', '.join(OPTIMISERS)}.")
        kind = OPTIMISERS[options["optimizer"]]
        optimizer = made("model.optimizer_options", kind, options["optimizer_options"], params=groups, lr=options["lr"])
        total = max(1, int(self.trainer.estimated_stepping_batches))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.schedule(min(1.0, step / total)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what a bundle is made from: the geometry that was validated, and which data this was."""
        if getattr(self.trainer, "datamodule", None) is None:
            return
        self._described = self._described or self.data.describe()
        found = {"geometry": self.data.geometry.model_dump(), "data": self._described}
        checkpoint["hyper_parameters"] = {**checkpoint["hyper_parameters"], **found}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """UnfitSetting where rows would be judged that were trained on; evaluation runs at the validated geometry."""
        if getattr(self.trainer, "datamodule", None) is None:
            return
        fitting = self.trainer.state.fn == TrainerFn.FITTING
        then, now = checkpoint["hyper_parameters"]["data"], self.data.describe()
        same = then["fingerprint"]["sha256"] == now["fingerprint"]["sha256"]
        if (fitting and not same) or (same and then["split"] != now["split"]):
            raise UnfitSetting(
                f"The checkpoint is of {_told(then)}; this is {_told(now)}: "
                f"{'the split' if same else 'images or labels'} changed. "
                "Give the same data and split, or train in another trainer.default_root_dir."
            )
        if same and (changed := splits.other_parts(then.get("digests", {}), now["digests"])):
            raise UnfitSetting(changed)
        if fitting:
            resumption.check_restored(checkpoint["hyper_parameters"], dict(self.hparams))
        else:
            self.data.resize(checkpoint["hyper_parameters"]["geometry"]["size"])

    @staticmethod
    def load_for_export(path: str) -> tuple[nn.Module, dict[str, Any]]:
        """The network with its averaged weights, in evaluation mode, and the checkpoint's hyper-parameters."""
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        hyper = checkpoint["hyper_parameters"]
        Geometry.model_validate(hyper["geometry"])
        outputs = 1 if hyper["head"] == "sigmoid" else len(hyper["classes"])
        network = networks.build(hyper["architecture"], outputs, **(hyper["network"] or {}))
        prefix = "network."
        state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        network.load_state_dict(state)
        return network.eval(), hyper

    def _logits(self, images: Tensor) -> Tensor:
        inputs = normalise(images, self.hparams["mean"], self.hparams["std"])
        if self.hparams["channels_last"]:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return self.network(inputs)  # type: ignore[no-any-return]

    def _loss(self, counts: Sequence[int] | None) -> nn.Module:
        options = dict(self.hparams["loss_options"] or {})
        if self.hparams["loss"] == "cross_entropy":
            options["malignant_indices"] = self.malignant_indices
            power = self.hparams["class_weights"]
            if counts is not None and power:
                weights = torch.tensor(counts).clamp(min=1).float() ** -power
                mean = (weights * torch.tensor(counts)).sum() / sum(counts)
                options["class_weights"] = (weights / mean).tolist()
        return losses.make(self.hparams["loss"], self.hparams["head"], **options)

    def _evaluate(self, batch: Batch, part: str) -> None:
        logits = self(batch["pixels"]).float()
        targets = functional.one_hot(batch["label"], self.mix.num_classes).float()
        probability = torch.sigmoid(losses.malignant_logit(logits, self.malignant_indices))
        for metric in (self.auroc, self.average_precision):
            metric.update(batch["row"], probability, batch["malignant"])
        metrics = {"loss": self.loss(logits, targets), "auroc": self.auroc, "ap": self.average_precision}
        for name, value in metrics.items():
            self.log(
                f"{part}/{name}",
                value,
                on_step=False,
                on_epoch=True,
                prog_bar=True,
                sync_dist=True,
                batch_size=len(targets),
            )


def _told(data: dict[str, Any]) -> str:
    found = data["fingerprint"]
    return f"{found['name']}, {found['rows']} rows, sha256 {found['sha256'][:12]}, split by {data['split']}"


def _forget_second_names(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    """Checkpoints made while the compiled network was a module of its own name every weight twice."""
    for name in [name for name in state if name.startswith(f"{prefix}_compiled.")]:
        del state[name]


def _malignant_indices(head: str, classes: Sequence[str], malignant: Sequence[str]) -> list[int]:
    if head not in ("sigmoid", "softmax"):
        raise UnfitSetting(f"Unknown head {head!r}: sigmoid or softmax.")
    unknown = [name for name in malignant if name not in classes]
    if unknown or not malignant:
        raise UnfitSetting(f"malignant must name some of the classes {list(classes)}; unknown: {unknown}.")
    if head == "sigmoid" and list(classes) != ["benign", "malignant"]:
        raise UnfitSetting("A sigmoid head has the classes benign, malignant.")
    return [0] if head == "sigmoid" else [list(classes).index(name) for name in malignant]
