"""Architectures by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handler.networks.inverted_residual import efficientnet_b4, mobilenet_v2
from handler.networks.network import Network
from handler.networks.plain import cnn28, small_cnn
from handler.networks.resnet import resnet18, resnet34, resnet50, se_resnet50

ARCHITECTURES: dict[str, Callable[..., Network]] = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "se_resnet50": se_resnet50,
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_b4": efficientnet_b4,
    "small_cnn": small_cnn,
    "cnn28": cnn28,
}


def build(architecture: str, num_outputs: int, **options: Any) -> Network:
    """A freshly initialised network; ValueError names the known architectures and a refused option."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"Unknown architecture {architecture!r}. Known: {', '.join(sorted(ARCHITECTURES))}.")
    try:
        return ARCHITECTURES[architecture](num_outputs, **options)
    except TypeError as error:
        raise ValueError(f"{architecture} does not take these options: {error}") from None
