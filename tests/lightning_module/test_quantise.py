from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
import torch
from numpy.typing import NDArray

from handler.manifest import Normalisation
from handler.networks import build
from lightning_module import export, quantise, stem
from lightning_module.folding import fold_and_round

SIZE = 32
NORMALISATION = Normalisation(mean=(0.6, 0.4, 0.2), std=(0.1, 0.2, 0.3))


def test_what_is_rare_among_the_calibration_images_is_not_clipped() -> None:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    graph = _graph()
    dull = [random.integers(120, 136, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(31)]
    vivid = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    full, int8 = (_features(model, vivid) for model in (graph, quantise.int8(graph, [*dull, vivid], NORMALISATION)))
    assert np.abs(int8 - full).max() < 0.1 * full.max()


def test_calibration_needs_images() -> None:
    with pytest.raises(ValueError, match="calibration images"):
        quantise.int8(_graph(), [], NORMALISATION)


@pytest.mark.parametrize("architecture", ["small_cnn", "resnet18"])
def test_the_first_convolution_in_int8_sees_the_image_up_to_its_border(architecture: str) -> None:
    graph = _graph(architecture)
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    float_, int8 = (_features(model, image) for model in (graph, stem.in_int8(graph.clone(), NORMALISATION)))
    assert np.abs(int8 - float_).max() < 0.03 * float_.max()
    assert np.abs(_features(graph, 255 - image) - float_).max() > 0.1 * float_.max()


def test_of_the_mean_colour_the_first_convolution_in_int8_makes_nothing() -> None:
    graph = _graph()
    image = np.tile(_mean(), (SIZE, SIZE, 1))
    float_, int8 = (_features(model, image) for model in (graph, stem.in_int8(graph.clone(), NORMALISATION)))
    assert int8 == pytest.approx(float_, abs=1e-5)


def test_the_first_convolution_in_int8_keeps_what_it_makes_of_an_even_colour() -> None:
    graph = _graph()
    image = np.tile(np.array([250, 30, 200], np.uint8), (SIZE, SIZE, 1))
    float_, int8 = (_features(model, image) for model in (graph, stem.in_int8(graph.clone(), NORMALISATION)))
    assert np.abs(int8 - float_).max() < 0.005 * float_.max()


def test_two_products_of_the_first_convolution_fit_into_16_bits() -> None:
    [weights] = [
        operation.get_data().astype(int)
        for operation in stem.in_int8(_graph(), NORMALISATION).get_ordered_ops()
        if operation.get_type_name() == "Constant" and operation.get_element_type() == ov.Type.i8
    ]
    assert 2 * 255 * np.abs(weights).max() < 2**15


def _graph(architecture: str = "small_cnn") -> ov.Model:
    torch.manual_seed(0)
    return export.graph(build(architecture, 1), SIZE, NORMALISATION.mean, NORMALISATION.std)


def _mean() -> NDArray[np.uint8]:
    return np.round(255 * np.array(NORMALISATION.mean)).astype(np.uint8)


def _features(model: ov.Model, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    margin = (model.input().get_partial_shape()[1].get_length() - SIZE) // 2
    framed = np.tile(_mean(), (1, SIZE + 2 * margin, SIZE + 2 * margin, 1))
    framed[0, margin : margin + SIZE, margin : margin + SIZE] = image
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found: NDArray[np.float32] = compiled(framed)["features"]
    return found


def test_folding_a_batch_norm_changes_no_answer_though_its_variance_is_tiny() -> None:
    torch.manual_seed(0)
    network = build("small_cnn", 1).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.fill_(module.eps)
    images = torch.rand(4, 3, SIZE, SIZE)
    with torch.no_grad():
        expected = network(images)
        found = fold_and_round(network)(images)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))
