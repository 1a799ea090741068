"""From a torch network to an OpenVINO graph that takes photographs as they are decoded: uint8, NHWC, RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openvino as ov
import torch
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


def save(model: ov.Model, path: Path, half: bool) -> None:
    """Write `path` (.xml) and the .bin beside it; `half` stores the constants in 16 bits (they compute in float)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, path, compress_to_fp16=half)


def round_to_half(network: nn.Module) -> nn.Module:
    """Round every large weight to 16 bits in place, so that all precisions start from the same stored numbers."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.half().float())
    return network
