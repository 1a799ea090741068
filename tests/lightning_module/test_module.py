"""The network's input is the same in training, in validation and as it is served."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from handler.networks import build
from lightning_module.module import IMAGENET, LesionModule


def test_validation_sees_pixels_as_training_and_serving_do() -> None:
    module = LesionModule("small_cnn", weights=None, view={"size": 32}).eval()
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
    network = build("small_cnn", 1).eval()
    network.load_state_dict(module.network.state_dict())
    with torch.no_grad():
        expected = network((pixels.float() / 255 - mean) / std)
        torch.testing.assert_close(module(pixels), expected)
    still = {"zoom": (1, 1), "shear": 0, "rotation": 0, "shift": 0, "resolution": (1, 1)}
    view = LesionModule("small_cnn", weights=None, view={"size": 32} | still).view
    seen = view(pixels)
    assert float(seen.max()) <= 1
    mirrored = torch.minimum(
        (seen - pixels / 255).abs().amax((1, 2, 3)), (seen - pixels.flip(3) / 255).abs().amax((1, 2, 3))
    )
    assert float(mirrored.max()) < 1e-3


@pytest.mark.parametrize(
    "setting", [{"colour": {"brightness": 0.25}}, {"occlusion": {"hair": 1.0}}, {"mix": {"mixup": 1.0, "cutmix": 0.0}}]
)
def test_every_augmentation_reaches_the_training_batch(setting: dict[str, Any]) -> None:
    colour = dict.fromkeys(("brightness", "contrast", "saturation", "hue", "gamma", "cast"), 0.0)
    plain = {"view": {"size": 32}, "colour": colour, "mix": {"mixup": 0.0, "cutmix": 0.0}}
    batch = {"pixels": torch.full((4, 3, 32, 32), 128, dtype=torch.uint8), "label": torch.arange(4) % 2}

    def augmented(**options: Any) -> list[torch.Tensor]:
        module: Any = LesionModule("small_cnn", weights=None, **options)
        module.trainer = SimpleNamespace(training=True)
        torch.manual_seed(0)
        made = module.on_after_batch_transfer(batch | {"row": torch.arange(4)}, 0)
        return [made["images"], made["targets"]]

    before, after = augmented(**plain), augmented(**plain | setting)
    torch.testing.assert_close(before[0], torch.full((4, 3, 32, 32), 128 / 255))
    assert max(float((one - other).abs().max()) for one, other in zip(before, after, strict=True)) > 0.05


def test_only_weights_decay_and_neither_biases_nor_batch_norms() -> None:
    module: Any = LesionModule("small_cnn", weights=None, weight_decay=0.3)
    module.trainer = SimpleNamespace(estimated_stepping_batches=10)
    groups = module.configure_optimizers()["optimizer"].param_groups
    decay = {parameter: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert len(decay) == len(list(module.network.parameters()))
    for name, parameter in module.network.named_parameters():
        assert decay[parameter] == pytest.approx(0.3 if parameter.ndim > 1 else 0.0), name
    assert {0.0, 0.3} <= set(decay.values())


def test_the_rarer_a_class_the_more_an_image_of_it_weighs_and_all_together_as_much_as_without_weights() -> None:
    module: Any = LesionModule(
        "small_cnn", weights=None, view={"size": 32}, head="softmax", loss="cross_entropy", class_weights=0.5
    )
    frame = pd.DataFrame({"malignant": [False, True]})
    data = SimpleNamespace(table=SimpleNamespace(frame=frame), train_rows=np.arange(2), class_counts=lambda: [400, 25])
    module.trainer = SimpleNamespace(datamodule=data)
    module.setup("fit")
    common, rare = module.loss.class_weights.tolist()
    assert rare / common == pytest.approx(4)
    assert 400 * common + 25 * rare == pytest.approx(425)
