"""Augmentation keeps shapes and ranges, draws for each image anew, and does nothing when told so."""

from __future__ import annotations

import pytest
import torch

from lightning_module.augmentation import Mix, RandomColour, RandomView
from lightning_module.occlusion import RandomOcclusion

STILL = {"zoom": (1.0, 1.0), "shear": 0.0, "rotation": 0.0, "shift": 0.0, "resolution": (1.0, 1.0)}
FAITHFUL = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "gamma": 0.0, "cast": 0.0}


def pixels(count: int = 8, side: int = 40) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.manual_seed(0))


def test_a_view_has_the_wanted_size_and_range() -> None:
    images = RandomView(size=24)(pixels())
    assert images.shape == (8, 3, 24, 24)
    assert images.dtype == torch.float32
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1.0001


def test_a_still_view_is_the_image_or_its_mirror_image() -> None:
    given = pixels(16)
    images = RandomView(size=40, **STILL)(given)  # type: ignore[arg-type]
    expected = given.float() / 255
    for image, original in zip(images, expected, strict=True):
        same = torch.allclose(image, original, atol=1e-3)
        assert same or torch.allclose(image, original.flip(2), atol=1e-3)


def test_each_image_is_turned_by_its_own_angle() -> None:
    one = pixels(1).expand(6, -1, -1, -1)
    images = RandomView(size=40, **{**STILL, "rotation": 180.0})(one)  # type: ignore[arg-type]
    assert len({round(float(image[0, 0, 0]), 4) for image in images}) > 3


def test_faithful_colour_changes_nothing() -> None:
    images = torch.rand(4, 3, 8, 8).clamp(min=0.01)
    torch.testing.assert_close(RandomColour(**FAITHFUL)(images), images, rtol=1e-4, atol=1e-5)


def test_colour_stays_in_range_and_differs_between_images() -> None:
    one = torch.rand(1, 3, 8, 8).expand(5, -1, -1, -1)
    images = RandomColour()(one)
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    assert not torch.allclose(images[0], images[1])


def test_hue_leaves_grey_grey() -> None:
    grey = torch.full((4, 3, 4, 4), 0.5)
    images = RandomColour(**{**FAITHFUL, "hue": 0.3, "saturation": 0.5})(grey)
    torch.testing.assert_close(images, grey, rtol=1e-4, atol=1e-4)


def test_unmixed_labels_are_one_hot() -> None:
    images, targets = Mix(3, mixup=0.0, cutmix=0.0)(torch.rand(2, 3, 4, 4), torch.tensor([2, 0]))
    assert images.shape == (2, 3, 4, 4)
    assert targets.tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("shares", [{"mixup": 1.0, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}])
def test_mixed_labels_still_sum_to_one(shares: dict[str, float]) -> None:
    torch.manual_seed(0)
    _, targets = Mix(3, **shares)(torch.rand(6, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2]))
    torch.testing.assert_close(targets.sum(1), torch.ones(6))
    assert bool(((targets > 0.01) & (targets < 0.99)).any())


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(ValueError, match="together at most 1"):
        Mix(2, mixup=0.7, cutmix=0.7)


def test_hair_and_ruler_only_darken_and_only_where_drawn() -> None:
    torch.manual_seed(0)
    images = torch.full((6, 3, 48, 48), 0.8)
    for occlusion in (RandomOcclusion(hair=1.0), RandomOcclusion(ruler=1.0)):
        drawn = occlusion(images)
        assert bool((drawn <= images + 1e-6).all())
        darker = (drawn < 0.7).float().mean((1, 2, 3))
        assert 0.001 < float(darker.mean()) < 0.5
    assert torch.equal(RandomOcclusion()(images), images)


@pytest.mark.parametrize(("zoom", "share"), [(1.0, 0.25), (1.5, 0.5625), (2.0, 1.0)])
def test_a_zoom_above_one_makes_a_lesion_larger(zoom: float, share: float) -> None:
    given = torch.zeros(4, 3, 64, 64, dtype=torch.uint8)
    given[:, :, 16:48, 16:48] = 255
    view = RandomView(size=64, **STILL | {"zoom": (zoom, zoom)})  # type: ignore[arg-type]
    assert float(view(given).mean()) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(
    ("draw", "mixed"), [(0.1, "mixup"), (0.59, "mixup"), (0.61, "cutmix"), (0.79, "cutmix"), (0.81, "")]
)
def test_images_are_mixed_as_often_as_the_shares_say(monkeypatch: pytest.MonkeyPatch, draw: float, mixed: str) -> None:
    mix = Mix(2, mixup=0.6, cutmix=0.2)
    called: list[str] = []
    for name in ("mixup", "cutmix"):
        getattr(mix, name).register_forward_pre_hook(lambda *_, name=name: called.append(name))
    monkeypatch.setattr("lightning_module.augmentation.torch.rand", lambda *_: torch.tensor(draw))
    mix(torch.rand_like(torch.zeros(4, 3, 8, 8)), torch.tensor([0, 1, 0, 1]))
    assert called == [mixed] * bool(mixed)
