"""torchvision, importable also beside a torch that its compiled operators were not built for.

PyPI's wheel is linked against CUDA; next to a CPU-only torch its operators do not load and a plain import fails.
"""

from __future__ import annotations

import sys

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

try:
    import torchvision
except RuntimeError:
    for name in ("torchvision::nms", "torchvision::qnms"):
        torch.library.define(name, SCHEMA)
    for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[module]
    import torchvision

from torchvision import models  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

__all__ = ["models", "torchvision", "v2"]
