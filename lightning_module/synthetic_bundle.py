"""A complete bundle around a network with random weights: for tests, and for trying the stack without a model.

make(Path("bundles/synthetic"))
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from handler.bundle import CARD
from handler.geometry import Geometry
from handler.manifest import DataFingerprint
from handler.networks import Network, build
from handler.notice import NOTICE
from lightning_module import calibration
from lightning_module.assembly import HeldOut, Trained, assemble
from lightning_module.datasets.rendering import LOOKS, lesion_jpeg

SEVEN = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
SEVEN_MALIGNANT = ["akiec", "bcc", "mel"]
FITTING, HELD_OUT, GOLDEN = 96, 64, 3
SPREAD = 2.0
CARD_TEXT = f"# Model card: synthetic bundle\n\nIts weights are random and its numbers mean nothing.\n\n> {NOTICE}\n"


def make(
    folder: str | Path,
    architecture: str = "small_cnn",
    head: Literal["sigmoid", "softmax"] = "sigmoid",
    size: int = 64,
    seed: int = 0,
) -> Path:
    """Write a bundle whose probabilities mean nothing but are spread out, into `folder`, which it returns.

    It is fitted on drawn lesions, so it hardly ever abstains from them, and made by the code that makes real bundles.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    items = [_lesion(seed + number) for number in range(FITTING + HELD_OUT)]
    trained = _trained(architecture, head, size, seed)
    logits = _spread(trained, items)
    probability = 1 / (1 + np.exp(-calibration.malignant_log_odds(logits, trained.malignant_indices)))
    truth = probability > np.random.default_rng(seed).random(len(items))
    held_out = HeldOut(items[FITTING:], truth[FITTING:], np.arange(HELD_OUT).astype(str))
    digest = hashlib.sha256(b"".join(items)).hexdigest()
    known = {
        "data": DataFingerprint(name="drawn lesions", rows=len(items), sha256=digest, licence="none"),
        "licence": "none: random weights",
    }
    (folder / CARD).write_text(CARD_TEXT, encoding="utf-8")
    assemble(folder, trained, items[:FITTING], held_out, items[:GOLDEN], known, replicates=100, most_auroc_lost=1.0)
    return folder


def _trained(architecture: str, head: Literal["sigmoid", "softmax"], size: int, seed: int) -> Trained:
    torch.manual_seed(seed)
    sigmoid = head == "sigmoid"
    return Trained(
        network=build(architecture, 1 if sigmoid else len(SEVEN)).eval(),
        architecture=architecture,
        head=head,
        classes=["benign", "malignant"] if sigmoid else SEVEN,
        malignant=["malignant"] if sigmoid else SEVEN_MALIGNANT,
        geometry=Geometry(size=size),
    )


def _spread(trained: Trained, items: list[bytes]) -> NDArray[np.float32]:
    """Scale the last layer so that every logit has mean 0 and deviation SPREAD over these images."""
    network = cast(Network, trained.network)
    mean, std = torch.tensor(trained.normalisation.mean), torch.tensor(trained.normalisation.std)
    images = torch.from_numpy(np.stack(trained.pixels(items))).float() / 255
    batch = ((images - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = network(batch)
        scale = SPREAD / logits.std(0).clamp_min(1e-6)
        network.head.bias.copy_((network.head.bias - logits.mean(0)) * scale)
        network.head.weight.mul_(scale[:, None])
        return np.asarray(network(batch).numpy())


def _lesion(number: int) -> bytes:
    look = list(LOOKS)[number % len(LOOKS)]
    return lesion_jpeg(look, number, number, (200, 150))
