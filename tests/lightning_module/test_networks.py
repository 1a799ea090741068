"""Networks: shapes, parameter counts, agreement with torchvision, pretrained weights or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from handler.networks import ARCHITECTURES, build
from lightning_module import networks
from lightning_module.networks import WeightsUnavailable
from lightning_module.vision import models


def count(tensors: object) -> int:
    return sum(tensor.numel() for tensor in tensors)  # type: ignore[attr-defined]


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_network_gives_logits_and_its_last_feature_map(architecture: str) -> None:
    network = build(architecture, 7).eval()
    size = 28 if architecture == "cnn28" else 64
    with torch.inference_mode():
        logits, features = network.forward_features_and_logits(torch.randn(2, 3, size, size))
        again = network(torch.zeros(1, 3, size, size))
    assert logits.shape == (2, 7)
    assert features.ndim == 4
    assert len(features) == 2
    assert again.shape == (1, 7)
    assert {"head.weight", "head.bias"} <= set(network.state_dict())


@pytest.mark.parametrize("architecture", ["resnet18", "resnet34", "mobilenet_v2", "efficientnet_b4"])
def test_pooled_networks_compute_what_torchvision_computes(architecture: str) -> None:
    torch.manual_seed(0)
    reference = models.get_model(architecture, num_classes=3).eval()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.9, 1.1)  # type: ignore[union-attr]
    network = build(architecture, 3).eval()
    renamed = {}
    for name, value in reference.state_dict().items():
        last = name.rpartition(".")[2]
        renamed[f"head.{last}" if name.startswith(("fc.", "classifier.")) else f"backbone.{name}"] = value
    network.load_state_dict(renamed)
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), reference(x), rtol=1e-4, atol=1e-5)


def test_resnet50_has_torchvisions_tensors() -> None:
    reference = {name for name in models.resnet50(num_classes=1).state_dict() if not name.startswith("fc.")}
    ours = {
        name.removeprefix("backbone.") for name in build("resnet50", 1).state_dict() if name.startswith("backbone.")
    }
    assert ours == reference


def test_the_28_pixel_network_has_exactly_504103_parameters_as_keras_counts_them() -> None:
    network = build("cnn28", 7)
    trainable = count(network.parameters())
    running = count(value for name, value in network.named_buffers() if not name.endswith("num_batches_tracked"))
    assert trainable == 502_983
    assert running == 1_120
    assert trainable + running == 504_103


def test_the_28_pixel_network_refuses_other_sizes() -> None:
    with pytest.raises(AssertionError, match=r"data\.size to 28"):
        build("cnn28", 7).eval()(torch.zeros(1, 3, 32, 32))


def test_an_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="resnet18"):
        build("resnet19", 1)


def test_an_unknown_option_names_the_architecture() -> None:
    with pytest.raises(ValueError, match="resnet18 does not take"):
        build("resnet18", 1, depth=3)


def test_weights_load_from_a_local_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    reference = models.resnet18(num_classes=1000)
    torch.save(reference.state_dict(), tmp_path / "resnet18.pth")
    network = networks.build("resnet18", 1, weights=str(tmp_path / "resnet18.pth"))
    torch.testing.assert_close(network.state_dict()["backbone.conv1.weight"], reference.conv1.weight.detach())
    assert network.head.out_features == 1


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(WeightsUnavailable, match="do not fit"):
        networks.build("resnet34", 1, weights=str(tmp_path / "resnet18.pth"))


def test_imagenet_weights_come_from_the_local_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    asked: list[str] = []

    def refuse(url: str, *_: object, **__: object) -> None:
        asked.append(url)
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(WeightsUnavailable, match=r"weights: null") as refusal:
        networks.build("resnet18", 1, weights="imagenet")
    assert len(asked) == 1
    where = tmp_path / "hub" / "checkpoints" / Path(asked[0]).name
    assert str(where) in str(refusal.value)
    reference = models.resnet18()
    torch.save(reference.state_dict(), where)
    network = networks.build("resnet18", 1, weights="imagenet")
    torch.testing.assert_close(network.state_dict()["backbone.conv1.weight"], reference.conv1.weight.detach())


def test_a_network_without_published_weights_says_so() -> None:
    with pytest.raises(WeightsUnavailable, match=r"small_cnn.*weights: null"):
        networks.build("small_cnn", 1, weights="imagenet")
