from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
import torch
from numpy.typing import NDArray

from handler.networks import build
from lightning_module import export, quantise
from lightning_module.folding import fold_and_round

SIZE = 32


def test_what_is_rare_among_the_calibration_images_is_not_clipped() -> None:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    graph = export.graph(build("small_cnn", 1), SIZE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    dull = [random.integers(120, 136, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(31)]
    vivid = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    full, int8 = (_features(model, vivid) for model in (graph, quantise.int8(graph, [*dull, vivid])))
    assert np.abs(int8 - full).max() < 0.1 * full.max()


def test_calibration_needs_images() -> None:
    with pytest.raises(ValueError, match="calibration images"):
        quantise.int8(export.graph(build("small_cnn", 1), SIZE, (0.5,) * 3, (0.25,) * 3), [])


def _features(model: ov.Model, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = ov.Core().compile_model(model, "CPU")(image[None])["features"]
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
