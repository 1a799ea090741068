"""Networks by name, with pretrained weights."""

from __future__ import annotations

from typing import Any

from handler.networks import ARCHITECTURES, Network
from handler.networks import build as untrained

__all__ = ["ARCHITECTURES", "Network", "build"]


def build(architecture: str, num_outputs: int, weights: str | None = None, **options: Any) -> Network:
    """A network with random weights, or with those that `weights` names."""
    network = untrained(architecture, num_outputs, **options)
    if weights is not None:
        raise NotImplementedError
    return network
