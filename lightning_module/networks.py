"""Networks by name, with pretrained weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from handler.networks import ARCHITECTURES, Network
from handler.networks import build as untrained
from lightning_module.settings import UnfitSetting
from lightning_module.vision import models

logger = logging.getLogger(__name__)

IMAGENET = {
    "resnet18": models.ResNet18_Weights.IMAGENET1K_V1,
    "resnet34": models.ResNet34_Weights.IMAGENET1K_V1,
    "resnet50": models.ResNet50_Weights.IMAGENET1K_V2,
    # Squeeze-excitation has no published torchvision weights: the convolutions are ResNet-50's, the gates are new.
    "se_resnet50": models.ResNet50_Weights.IMAGENET1K_V2,
    "mobilenet_v2": models.MobileNet_V2_Weights.IMAGENET1K_V2,
    "efficientnet_b4": models.EfficientNet_B4_Weights.IMAGENET1K_V1,
}
CLASSIFIERS = ("fc.", "classifier.")
NEW_GATES = ".se."


class WeightsUnavailable(RuntimeError):
    """Pretrained weights were asked for and cannot be had."""


def build(architecture: str, num_outputs: int, weights: str | None = None, **options: Any) -> Network:
    """A network with random weights (None), ImageNet's ("imagenet") or those of a torchvision state-dict file.

    WeightsUnavailable says why there are none and how to go on without.
    """
    if architecture not in ARCHITECTURES:
        raise UnfitSetting(f"Unknown architecture {architecture!r}. Known: {', '.join(sorted(ARCHITECTURES))}.")
    try:
        network = untrained(architecture, num_outputs, **options)
    except ValueError as error:
        raise UnfitSetting(f"model.network: {error}") from None
    if weights is not None:
        state = _imagenet(architecture) if weights == "imagenet" else _from_file(Path(weights))
        _load(network, state, f"{weights} for {architecture}")
    return network


def _imagenet(architecture: str) -> dict[str, Tensor]:
    if architecture not in IMAGENET:
        raise WeightsUnavailable(
            f"There are no ImageNet weights for {architecture}. Set model.weights: null to train from scratch."
        )
    url = IMAGENET[architecture].url
    try:
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True)
    except (OSError, RuntimeError) as error:
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
        raise WeightsUnavailable(
            f"ImageNet weights for {architecture} are neither at {file} nor to be had from {url} ({error}). "
            "Put the file there, name one as model.weights: path/to/file.pth, "
            "or set model.weights: null to train from scratch."
        ) from None


def _from_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsUnavailable(
            f"{path}: no such file. model.weights is 'imagenet', a torchvision state-dict file, or null for scratch."
        )
    return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]


def _load(network: Network, state: dict[str, Tensor], what: str) -> None:
    backbone = {f"backbone.{name}": value for name, value in state.items() if not name.startswith(CLASSIFIERS)}
    try:
        found = network.load_state_dict(backbone, strict=False)
    except RuntimeError as error:
        raise WeightsUnavailable(f"Weights {what} do not fit: {error}") from None
    missing = [name for name in found.missing_keys if name.startswith("backbone.") and NEW_GATES not in name]
    if missing or found.unexpected_keys:
        raise WeightsUnavailable(
            f"Weights {what} do not fit: {len(missing)} tensors are missing and {len(found.unexpected_keys)} are "
            f"unknown, for example {(missing + found.unexpected_keys)[0]}."
        )
    logger.info("Loaded weights %s.", what)
