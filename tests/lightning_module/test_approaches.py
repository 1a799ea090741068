"""The approaches that this grew from, each from its configuration to a bundle that serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from handler import backends, predictor
from handler.backends import processor
from handler.bundle import Bundle
from handler.geometry import Geometry
from handler.manifest import DataFingerprint
from lightning_module import cli
from lightning_module.assembly import HeldOut, Trained, assemble, run
from lightning_module.datasets.rendering import LOOKS, lesion_jpeg
from lightning_module.module import LesionModule

CONFIGS = Path(cli.__file__).with_name("configs")
SIZES = {
    "ham10000": 32,
    "cnn_ham10000": 32,
    "cnn28_ham10000": 28,
    "se_resnet50_siim2020": 32,
    "mobilenet_folders": 32,
    "efficientnet_b4_isic2019": 32,
}
TOLERANCE = 1e-3
IMAGES = [lesion_jpeg(look, number, number, (100, 75)) for number, look in enumerate([*LOOKS, *LOOKS])]
KNOWN = {"data": DataFingerprint(name="drawn", rows=len(IMAGES), sha256="0" * 64, licence="none"), "licence": "none"}


@pytest.mark.parametrize("config", SIZES)
def test_serves_the_same_numbers_from_every_backend(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if config == "mobilenet_folders" and "amx_int8" in processor.flags():
        pytest.skip("OpenVINO 2026.4 crashes here, where int8 feature maps shrink to one pixel; 33 pixels are fine")
    monkeypatch.setattr(predictor, "WARM_SIZES", (1,))
    trained = _lively(config)
    held_out = HeldOut(IMAGES, np.arange(len(IMAGES)) % 2 == 0, np.arange(len(IMAGES)).astype(str))
    assemble(tmp_path, trained, IMAGES, held_out, IMAGES[:2], KNOWN, replicates=5, most_auroc_lost=2.0)
    bundle = Bundle.load(tmp_path)
    served = predictor.Predictor.load(tmp_path, bundle.manifest.preferred, threads=1)
    answers = served.predict(IMAGES[:3], explain=True)
    assert all(isinstance(answer, predictor.Prediction) and answer.heatmap for answer in answers)
    torch_cpu, fp32 = (run(backends.load(bundle, name, 1), trained, IMAGES).logits for name in ("torch-cpu", "fp32"))
    assert torch_cpu.std(0).min() >= 200 * TOLERANCE
    assert np.abs(torch_cpu - fp32).max() <= TOLERANCE


def _lively(config: str) -> Trained:
    """The configuration's network with random weights, batch norms far from identity and logits apart by about one.

    A branch beside a shortcut adds little, as after training. Random branches of full weight amplify what is rounded:
    an EfficientNet's logits of such were wrong by 1 % in torch's own float32, and meaningless in bf16.
    """
    torch.manual_seed(0)
    module = LesionModule(**yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())["model"] | {"weights": None})
    options, network = module.hparams, module.network
    trained = Trained(
        network=network,
        architecture=options["architecture"],
        head=options["head"],
        classes=options["classes"],
        malignant=options["malignant"],
        geometry=Geometry(size=SIZES[config]),
        options=dict(options["network"] or {}),
    )
    pixels = torch.from_numpy(np.stack(trained.pixels(IMAGES))).permute(0, 3, 1, 2)
    network.eval()
    inner = [_norms(block)[-1] for block in network.modules() if getattr(block, "residual", False)]
    inner += [norm for norm in _norms(network) if not norm.weight.any()]  # a ResNet's blocks start without their branch
    for norm in _norms(network):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0.0, 0.2)
        norm.momentum = None  # the statistics become those of the images, in one pass
        norm.train()
    with torch.no_grad():
        for norm in inner:
            norm.weight *= 0.2
        module(pixels)
        network.eval()
        network.head.weight /= module(pixels).std(0).mean()
    return trained


def _norms(part: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [module for module in part.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
