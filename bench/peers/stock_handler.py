"""TorchServe's own image classifier, with the size of the model at hand."""

import json
from pathlib import Path
from typing import Any

import torch

# PyPI's torchvision is built for CUDA; beside a CPU build of torch it can be imported only with these two defined.
if torch.version.cuda is None:
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for missing in ("torchvision::nms", "torchvision::qnms"):
        torch.library.define(missing, signature)

from torchvision import transforms
from ts.torch_handler.image_classifier import ImageClassifier


class Stock(ImageClassifier):
    def initialize(self, context: Any) -> None:
        super().initialize(context)
        told = json.loads((Path(context.system_properties["model_dir"]) / "geometry.json").read_text())
        self.image_processing = transforms.Compose(
            [
                transforms.Resize(told["resize"]),
                transforms.CenterCrop(told["size"]),
                transforms.ToTensor(),
                transforms.Normalize(mean=told["mean"], std=told["std"]),
            ]
        )
