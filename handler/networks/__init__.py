"""Network definitions in pure torch. Each maps normalised NCHW floats to logits, and knows its last feature map."""

from __future__ import annotations

from handler.networks.network import Network
from handler.networks.registry import ARCHITECTURES, build

__all__ = ["ARCHITECTURES", "Network", "build"]
