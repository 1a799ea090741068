"""Small bundles around random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from handler import familiarity, quality
from handler.bundle import MANIFEST, WEIGHTS, digest
from handler.geometry import Geometry
from handler.networks import build
from handler.predictor import Predictor
from handler.seal import sealed
from lightning_module import export, packing, sharing, synthetic_bundle
from lightning_module.folding import fold_and_round
from tests.handler import drawing

Edit = Callable[..., Path]


@pytest.fixture(scope="session")
def sigmoid_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_bundle.make(tmp_path_factory.mktemp("sigmoid"), head="sigmoid")


@pytest.fixture(scope="session")
def softmax_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_bundle.make(tmp_path_factory.mktemp("softmax"), head="softmax")


@pytest.fixture(scope="session")
def sigmoid(sigmoid_bundle: Path) -> Predictor:
    return Predictor.load(sigmoid_bundle, "fp32", threads=1)


@pytest.fixture(scope="session")
def softmax(softmax_bundle: Path) -> Predictor:
    return Predictor.load(softmax_bundle, "fp32", threads=1)


@pytest.fixture
def edited(tmp_path: Path) -> Edit:
    """A copy of a bundle as if made so: `change` applied to its manifest's JSON, `refresh`ed hashes, a new seal."""

    def edit(bundle: Path, change: Callable[[dict[str, Any]], None], refresh: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / "edited"
        if not folder.exists():
            shutil.copytree(bundle, folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        change(manifest)
        for name in refresh:
            manifest["files"][name] = digest(folder / name)
        (folder / MANIFEST).write_text(json.dumps(sealed(manifest)))
        return folder

    return edit


@pytest.fixture(scope="session")
def reference() -> familiarity.FamiliarityReference:
    """What drawn lesions look like, with four made-up network features."""
    rng = np.random.default_rng(0)
    described = np.stack([describe(drawing.lesion(seed)) for seed in range(240)])
    features = rng.normal(size=(240, 4)).astype(np.float32)
    return familiarity.fit(features[:160], described[:160], features[160:], described[160:])


def describe(image: Any, size: int = 64) -> np.ndarray:
    return familiarity.describe(quality.look(Geometry(size=size).apply(image)))


@pytest.fixture(scope="session")
def resnet_bundle(sigmoid_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that the torch backend can rebuild: a ResNet-18 with random weights at 64 pixels."""
    folder = tmp_path_factory.mktemp("resnet") / "bundle"
    shutil.copytree(sigmoid_bundle, folder)
    torch.manual_seed(0)
    network = build("resnet18", 1).eval()
    fold_and_round(network)
    packing.write_weights(network, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    mean, std = manifest["normalisation"]["mean"], manifest["normalisation"]["std"]
    graph = folder / manifest["backends"]["fp32"]
    export.save(export.graph(network, 64, mean, std), graph)
    sharing.share(graph, folder / WEIGHTS)
    manifest |= {"architecture": "resnet18", "golden": [], "backends": {"fp32": manifest["backends"]["fp32"]}}
    manifest["preferred"] = "fp32"
    manifest["files"] = {name: digest(folder / name) for name in manifest["files"]}
    (folder / MANIFEST).write_text(json.dumps(sealed(manifest)))
    return folder
