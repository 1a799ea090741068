"""From a torch network to an OpenVINO graph that takes photographs as they are decoded: uint8, NHWC, RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as opset
from openvino.preprocess import PrePostProcessor
from torch import Tensor, nn


class _Outputs(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = self.network.forward_features_and_logits(pixels)  # type: ignore[operator]
        return logits, features.permute(0, 2, 3, 1)


def graph(network: nn.Module, size: int, mean: Sequence[float], std: Sequence[float]) -> ov.Model:
    """The network with its normalisation folded in.

    Input `image`: uint8 [N, size, size, 3]. Outputs `logits` [N, C] and `features` [N, h, w, F], both float32.
    """
    example = torch.zeros(2, 3, size, size)
    traced = _Outputs(network.float().eval())
    with torch.inference_mode():
        model = ov.convert_model(traced, example_input=example, input=[ov.PartialShape([-1, 3, size, size])])
    for output, name in zip(model.outputs, ("logits", "features"), strict=True):
        output.get_tensor().set_names({name})
    steps = PrePostProcessor(model)
    image = steps.input(0)
    image.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    image.model().set_layout(ov.Layout("NCHW"))
    image.preprocess().convert_element_type(ov.Type.f32)
    image.preprocess().mean([255.0 * m for m in mean]).scale([255.0 * s for s in std])
    model = steps.build()
    model.inputs[0].get_tensor().set_names({"image"})
    return model


def save(model: ov.Model, path: Path) -> None:
    """Write `path` (.xml) and the .bin beside it; weights that 16 bits hold exactly are stored in 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    narrowed = model.clone()
    for operation in narrowed.get_ordered_ops():
        if operation.get_type_name() == "Constant" and operation.get_element_type() == ov.Type.f32:
            _narrow(operation)
    ov.save_model(narrowed, path, compress_to_fp16=False)


def _narrow(constant: ov.Node) -> None:
    values = constant.get_data()
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if values.ndim < 2 or not np.array_equal(half.astype(np.float32), values):
        return
    targets = constant.output(0).get_target_inputs()
    widened = opset.convert(opset.constant(half), "f32")
    for target in targets:
        target.replace_source_output(widened.output(0))
