"""A training checkpoint, checked against the data that it claims to come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from handler.geometry import Geometry
from handler.manifest import DataFingerprint, Normalisation
from lightning_module import splits
from lightning_module.assembly import Trained
from lightning_module.datasets import Table
from lightning_module.module import LesionModule

DESCRIBED = ("architecture", "head", "classes", "malignant", "mean", "std", "geometry", "data")


class CheckpointError(Exception):
    """A checkpoint from which no bundle may be made; says what does not match and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with the data and split that it was trained on."""

    trained: Trained
    data: DataFingerprint
    split: dict[str, Any]
    rows: dict[str, int]
    digests: dict[str, str]
    reading: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint of `python -m lightning_module fit`; CheckpointError where it does not describe itself."""
        if not path.is_file():
            folds = [str(fold) for fold in sorted(path.parent.glob(f"fold_*/{path.name}"))]
            advice = (
                f"Give one fold's by --ckpt: {', '.join(folds)}" if folds else "Train one first: make train DATA=..."
            )
            raise CheckpointError(f"{path}: no such checkpoint. {advice}")
        try:
            network, described = LesionModule.load_for_export(str(path))
        except KeyError as error:
            raise CheckpointError(f"{path} does not tell its {error.args[0]}: make it again with make train") from None
        except (ValidationError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise CheckpointError(f"{path}: weights, classes or geometry do not fit its network: {reason}") from None
        except Exception as error:
            raise CheckpointError(f"{path} is no checkpoint of this project ({type(error).__name__})") from None
        missing = [name for name in DESCRIBED if not described.get(name)]
        if missing:
            raise CheckpointError(f"{path} does not tell its {', '.join(missing)}: make it again with make train")
        if not all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values()):
            raise CheckpointError(f"{path} has weights that are not finite: the training diverged, use another one")
        trained = Trained(
            network=network,
            architecture=described["architecture"],
            options=dict(described.get("network") or {}),
            head=described["head"],
            classes=list(described["classes"]),
            malignant=list(described["malignant"]),
            geometry=Geometry.model_validate(described["geometry"]),
            normalisation=Normalisation(mean=tuple(described["mean"]), std=tuple(described["std"])),
        )
        data = described["data"]
        return cls(
            trained,
            DataFingerprint(**data["fingerprint"]),
            dict(data["split"]),
            dict(data["rows"]),
            dict(data.get("digests", {})),
            dict(data.get("reading", {})),
        )

    def check(self, table: Table) -> None:
        """Raises CheckpointError unless this is the data of the training, with the classes that the network knows."""
        found = table.fingerprint()
        if found.sha256 != self.data.sha256:
            raise CheckpointError(
                f"{table.root} ({found.name}, {found.rows} rows, sha256 {found.sha256[:12]}) is not the data of the "
                f"training ({self.data.name}, {self.data.rows} rows, sha256 {self.data.sha256[:12]}): give that folder"
            )
        if self.trained.head == "sigmoid":
            return
        unknown = sorted(set(table.frame["diagnosis"]) - set(self.trained.classes))
        if unknown:
            raise CheckpointError(f"the data has diagnoses that the network does not know: {', '.join(unknown)}")
        claimed = table.frame["diagnosis"].isin(self.trained.malignant)
        disputed = sorted(set(table.frame["diagnosis"][claimed != table.frame["malignant"]]))
        if disputed:
            raise CheckpointError(f"checkpoint and data disagree on whether these are malignant: {', '.join(disputed)}")

    def parts(self, table: Table) -> splits.Split:
        """The split of the training, row for row."""
        return again(table, self.split, self.rows, self.digests)


def again(table: Table, split: dict[str, Any], rows: dict[str, int], digests: dict[str, str]) -> splits.Split:
    """The split that these settings made; CheckpointError when it is another one, by its sizes or noted digests."""
    found: splits.Split
    if split["folds"]:
        found = splits.kfold(table, split["folds"], split["test"], split["seed"])[split["fold"]]
    else:
        found = splits.grouped(table, split["test"], split["val"], split["seed"])
    sizes = {name: len(part) for name, part in found.parts().items()}
    if sizes != rows:
        raise CheckpointError(f"the split cannot be made again: {sizes} rows now, {rows} when the model was trained")
    if changed := splits.other_parts(digests, splits.digests(table, found)):
        raise CheckpointError(changed)
    return found
