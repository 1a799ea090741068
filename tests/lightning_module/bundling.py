"""A small data set, a checkpoint that claims to come from it, and the bundle made of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from handler.networks import build
from lightning_module.datasets import load, synthetic
from lightning_module.splits import digests, grouped

CLASSES = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
MALIGNANT = ["akiec", "bcc", "mel"]
SIZE = 64
PUBLISHED = {"name": "ham10000", "licence": "CC BY-NC 4.0"}


def rendered(folder: Path, seed: int = 1) -> Path:
    return synthetic.render(folder, 180, seed=seed)


def checkpoint(path: Path, folder: Path, **changes: Any) -> Path:
    """What `fit` saves, with random weights, as if the images were published; `changes` replace hyper-parameters."""
    table = load(folder)
    split = grouped(table)
    torch.manual_seed(0)
    described = {
        "architecture": "small_cnn",
        "network": {},
        "head": "softmax",
        "classes": CLASSES,
        "malignant": MALIGNANT,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "geometry": {"size": SIZE, "crop": 1.0},
        "data": {
            "layout": table.layout,
            "fingerprint": table.fingerprint().model_dump() | PUBLISHED,
            "split": {"test": 0.15, "val": 0.15, "seed": 0, "folds": None, "fold": 0},
            "rows": {name: len(part) for name, part in split.parts().items()},
            "digests": digests(table, split),
        },
    } | changes
    network = build("small_cnn", len(CLASSES))
    network.head.weight.data *= 20
    state = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": described}, path)
    return path
