"""From a dataset folder to batches: table, grouped split, pixel cache, loaders."""

# ruff: noqa: ARG002 - save_hyperparameters reads the arguments
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from handler.geometry import Geometry
from lightning_module import cache, scrutiny, splits
from lightning_module.datasets.errors import UnknownValues
from lightning_module.datasets.table import Table
from lightning_module.options import Reading
from lightning_module.settings import UnfitSetting, geometry_of

Batch = dict[str, Tensor]
MOST_HELD_OUT = 0.9


class PixelRows(Dataset[Batch]):
    """Batches of uint8 NCHW pixels with their labels, gathered in one go."""

    def __init__(self, pixels: cache.Pixels, table: Table, rows: splits.Rows, labels: np.ndarray) -> None:
        self.pixels = pixels
        self.rows = rows
        self.labels = labels
        self.malignant = table.frame["malignant"].to_numpy(dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        rows = self.rows[np.asarray(indices)]
        return {
            "pixels": torch.from_numpy(self.pixels[rows]).permute(0, 3, 1, 2),
            "label": torch.from_numpy(self.labels[rows]),
            "malignant": torch.from_numpy(self.malignant[rows]),
            "row": torch.from_numpy(rows),
        }


class EpochSampler(Sampler[int]):
    """A shuffle, or a weighted draw, that depends only on the seed and the epoch: resumed runs see the same order."""

    def __init__(self, length: int, seed: int, weights: np.ndarray | None = None) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0
        self.weights = None if weights is None else torch.as_tensor(weights)

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Any:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        if self.weights is None:
            return iter(torch.randperm(self.length, generator=generator).tolist())
        return iter(torch.multinomial(self.weights, self.length, replacement=True, generator=generator).tolist())


class LesionData(pl.LightningDataModule):
    """A published dataset folder, split by lesion and patient, decoded once.

    Training pixels are kept somewhat larger than the network's input, to zoom in from; validation and test pixels are
    exactly what serving would compute.
    """

    def __init__(
        self,
        folder: str,
        classes: Sequence[str] = ("benign", "malignant"),
        head: str = "sigmoid",
        layout: str = "auto",
        size: int = 128,
        crop: float = 1.0,
        cache_size: int | None = None,
        batch_size: int = 64,
        workers: int = 0,
        test: float = 0.15,
        val: float = 0.15,
        seed: int = 0,
        folds: int | None = None,
        fold: int = 0,
        weighted_sampling: bool = False,
        one_image_a_lesion: bool = False,
        majority_per_site: int | None = None,
        allow_missing: bool = False,
        metadata: str | None = None,
        malignant_folders: Sequence[str] | None = None,
        cache_folder: str = "cache",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.hparams["classes"] = list(classes)
        if not 0 <= fold < (folds or 1):
            raise UnfitSetting(f"data.fold is {fold}, of data.folds {folds}: folds are counted from 0.")
        if batch_size < 1:
            raise UnfitSetting(f"data.batch_size is {batch_size}: a batch has one image or more.")
        if workers < 0:
            raise UnfitSetting(f"data.workers is {workers}: give 0 to load in the training's own process, or more.")
        geometry_of("data.size", size, crop)
        if not folds and test + val > MOST_HELD_OUT:
            raise UnfitSetting(
                f"data.test {test} and data.val {val} are together above {MOST_HELD_OUT}: leave a tenth to train on."
            )
        self.size = size
        self.table: Table
        self.split: splits.Split
        self._pixels: dict[int, cache.Pixels] = {}
        self._content: str | None = None
        self._evaluated: list[PixelRows] = []

    @property
    def geometry(self) -> Geometry:
        """The geometry of validation at this moment: what a checkpoint made now must be served with."""
        return Geometry(size=self.size, crop=self.hparams["crop"])

    def prepare_data(self) -> None:
        """Decode once, on one process only; every unreadable image is named before training starts."""
        self.setup()
        shares = {name: self.hparams[name] for name in ("val", "test") if name == "test" or not self.hparams["folds"]}
        for line in scrutiny.remarks(self.table, self.split, shares):
            print(f"warning: {line}", flush=True)
        self._array(self._cache_size())
        self._array(self.size)

    def resize(self, size: int) -> None:
        """Train and evaluate at this size from now on."""
        self.size = size
        for dataset in self._evaluated:
            dataset.pixels = self._array(size)

    def setup(self, stage: str | None = None) -> None:
        """Read the table and split it; the same settings give the same rows."""
        if hasattr(self, "table"):
            return
        options = self.hparams
        self.table = self._reading().table(Path(options["folder"]))
        if options["folds"]:
            folds = splits.kfold(self.table, options["folds"], options["test"], options["seed"])
            self.split = folds[options["fold"]]
        else:
            self.split = splits.grouped(self.table, options["test"], options["val"], options["seed"])
        self.labels = self._labels()
        self.train_rows = self._train_rows()

    def describe(self) -> dict[str, Any]:
        """What a checkpoint must say about its data: enough to find the same rows again."""
        kept = ("test", "val", "seed", "folds", "fold")
        return {
            "layout": self.table.layout,
            "reading": self._reading().record(),
            "fingerprint": self.table.fingerprint().model_dump(),
            "split": {name: self.hparams[name] for name in kept},
            "rows": {name: len(rows) for name, rows in self.split.parts().items()},
            "digests": splits.digests(self.table, self.split),
        }

    def class_counts(self) -> list[int]:
        """Training rows of each class."""
        counts = np.bincount(self.labels[self.train_rows], minlength=len(self.hparams["classes"]))
        return [int(count) for count in counts]

    def train_dataloader(self) -> DataLoader[Batch]:
        rows = self.train_rows
        weights = splits.sampling_weights(self.table, rows) if self.hparams["weighted_sampling"] else None
        sampler = EpochSampler(len(rows), self.hparams["seed"], weights)
        return self._loader(self._cache_size(), rows, sampler)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.size, self.split.val)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.size, self.split.test)

    def _loader(self, size: int, rows: splits.Rows, sampler: Sampler[int] | None = None) -> DataLoader[Batch]:
        if not len(rows):
            raise UnfitSetting("This needs a part of the split that has no image: give data.val and data.test a share.")
        dataset = PixelRows(self._array(size), self.table, rows, self.labels)
        training = sampler is not None
        if not training:
            self._evaluated.append(dataset)
        return DataLoader(
            dataset,
            batch_size=min(self.hparams["batch_size"], len(rows)),
            sampler=sampler,
            drop_last=training,
            num_workers=self.hparams["workers"],
            persistent_workers=training and self.hparams["workers"] > 0,
            pin_memory=torch.cuda.is_available(),
            # `__getitems__` has gathered the batch already.
            collate_fn=_as_it_is,
            # Else each epoch would draw from the global generator, and a resumed run at another moment.
            generator=torch.Generator(),
        )

    def _cache_size(self) -> int:
        return int(self.hparams["cache_size"] or round(1.2 * self.hparams["size"]))

    def _array(self, size: int) -> cache.Pixels:
        if size not in self._pixels:
            geometry = Geometry(size=size, crop=self.hparams["crop"])
            self._content = self._content or cache.content(self.table)
            folder = Path(self.hparams["cache_folder"])
            self._pixels[size] = cache.build(self.table, geometry, folder, self._content)
        return self._pixels[size]

    def _reading(self) -> Reading:
        options = self.hparams
        metadata = Path(options["metadata"]) if options["metadata"] else None
        return Reading(options["layout"], metadata, options["malignant_folders"], options["allow_missing"])

    def _labels(self) -> np.ndarray:
        if self.hparams["head"] == "sigmoid":
            return self.table.frame["malignant"].to_numpy(dtype=np.int64)
        order = {name: index for index, name in enumerate(self.hparams["classes"])}
        diagnosis = self.table.frame["diagnosis"]
        unknown = sorted(set(diagnosis) - set(order))
        if unknown:
            raise UnknownValues(
                f"{self.hparams['folder']}: diagnoses {', '.join(unknown)} are not among the model's classes "
                f"{', '.join(order)}. Name all of them in model.classes, or use the sigmoid head."
            )
        return diagnosis.map(order).to_numpy(dtype=np.int64)

    def _train_rows(self) -> splits.Rows:
        rows = self.split.train
        if self.hparams["one_image_a_lesion"]:
            rows = splits.one_image_a_lesion(self.table, rows, self.hparams["seed"])
        if self.hparams["majority_per_site"] is not None:
            rows = splits.undersampled(self.table, rows, self.hparams["majority_per_site"], self.hparams["seed"])
        return rows


def _as_it_is(batch: Any) -> Any:
    return batch
