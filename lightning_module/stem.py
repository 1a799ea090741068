"""The first convolution in int8, without loss at its input: it reads the photograph's own 256 levels."""

from __future__ import annotations

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as opset

from handler.manifest import Normalisation

LEVELS = 256
# Half of what int8 holds: a processor without VNNI adds up two products in 16 bits, which 255 * 127 * 2 exceeds.
LARGEST = 64
# The scale of a filter that training has emptied.
TINY = 1e-12
CHANNELS_FIRST = np.array([0, 3, 1, 2])


def in_int8(model: ov.Model, normalisation: Normalisation) -> ov.Model:
    """`model` with the normalisation in the weights and the bias of its first convolution, and these in int8.

    Beyond the border of a normalised image lies the mean colour, which is no zero before normalisation. So the graph
    pads nothing: its input is larger than the image by a margin of that colour, which who asks it lays around.
    """
    old = first_convolution(model)
    shape, margin = old.get_attributes(), _margin(old)
    mean, std = (255 * np.array(values, np.float64) for values in (normalisation.mean, normalisation.std))
    weights = _constant(old.input_value(1)) / std[:, None, None]
    scale = np.maximum(np.abs(weights).max((1, 2, 3), keepdims=True), TINY) / LARGEST
    rounded = _rounded(weights / scale).astype(np.int8)
    side = model.input().get_partial_shape()[1].get_length() + 2 * margin
    image = opset.parameter([-1, side, side, len(mean)], ov.Type.u8, name="image")
    image.output(0).set_names({"image"})
    levels = opset.convert(opset.transpose(image, opset.constant(CHANNELS_FIRST)), "f32")
    ends = [opset.constant(np.float32(end)) for end in (0, LEVELS - 1)]
    exact = opset.fake_quantize(levels, *ends, *ends, LEVELS)
    kernel = opset.multiply(opset.convert(opset.constant(rounded), "f32"), opset.constant(scale.astype(np.float32)))
    new = opset.convolution(exact, kernel, shape["strides"], [0, 0], [0, 0], shape["dilations"])
    # From the rounded weights, so that the mean colour itself is met exactly.
    offset = -(rounded * scale * mean[:, None, None]).sum((1, 2, 3))
    shifted = opset.add(new, opset.constant(offset.astype(np.float32)[None, :, None, None]))
    for reader in old.output(0).get_target_inputs():
        reader.replace_source_output(shifted.output(0))
    return ov.Model(model.get_results(), [image])


def first_convolution(model: ov.Model) -> ov.Node:
    """The one that reads the image."""
    return next(operation for operation in model.get_ordered_ops() if operation.get_type_name() == "Convolution")


def _rounded(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each up or down so that what a filter makes of an even colour stays: pixels are much like their neighbours."""
    flat = weights.reshape(*weights.shape[:2], -1)
    down = np.floor(flat)
    left = flat - down
    ups = np.round(left.sum(-1, keepdims=True))
    rank = np.argsort(np.argsort(-left, -1), -1)
    rounded: NDArray[np.float64] = (down + (rank < ups)).reshape(weights.shape)
    return rounded


def _margin(convolution: ov.Node) -> int:
    shape = convolution.get_attributes()
    [margin] = {*shape["pads_begin"], *shape["pads_end"]}
    return int(margin)


def _constant(output: ov.Output) -> NDArray[np.float32]:
    node = output.get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    found: NDArray[np.float32] = node.get_data().astype(np.float32)
    return found
