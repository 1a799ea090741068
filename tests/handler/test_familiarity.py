"""Lesions like those of the fit are familiar; noise, pages, scenes and strange features are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from handler import familiarity
from handler.errors import BundleError
from handler.familiarity import FamiliarityReference
from tests.handler import drawing
from tests.handler.conftest import describe


def scores(
    reference: FamiliarityReference, images: list[Image.Image], features: np.ndarray | None = None
) -> np.ndarray:
    described = np.stack([describe(image) for image in images])
    usual = np.zeros((len(images), 4), np.float32) if features is None else features
    return reference.score(usual, described)


def test_unseen_lesions_are_spread_over_the_scale(reference: FamiliarityReference) -> None:
    features = np.random.default_rng(5).normal(size=(200, 4)).astype(np.float32)
    found = scores(reference, [drawing.lesion(seed) for seed in range(1000, 1200)], features)
    assert 0.3 < found.mean() < 0.7
    assert (found < 0.01).mean() < 0.2


@pytest.mark.parametrize("draw", [drawing.noise, drawing.page, drawing.scene])
def test_what_is_no_lesion_is_unfamiliar(reference: FamiliarityReference, draw: Callable[[int], Image.Image]) -> None:
    assert scores(reference, [draw(seed) for seed in range(6)]).max() < 0.01


@pytest.mark.parametrize("colour", ["black", "white", (214, 168, 150), "blue"])
def test_a_plain_surface_is_unfamiliar(reference: FamiliarityReference, colour: str) -> None:
    assert scores(reference, [Image.new("RGB", (200, 150), colour)])[0] < 0.01


def test_strange_features_alone_are_unfamiliar(reference: FamiliarityReference) -> None:
    image = drawing.lesion(7)
    assert scores(reference, [image], np.full((1, 4), 12.0, np.float32))[0] < 0.01


def test_a_turned_lesion_is_as_familiar(reference: FamiliarityReference) -> None:
    upright = [drawing.lesion(seed, 150, 150) for seed in range(20)]
    turned = [image.transpose(Image.Transpose.ROTATE_90) for image in upright]
    gap = np.abs(scores(reference, upright) - scores(reference, turned))
    assert np.median(gap) < 0.1


def test_a_batch_is_scored_as_its_members_are(reference: FamiliarityReference) -> None:
    images = [drawing.lesion(1), drawing.noise(1), drawing.lesion(2)]
    together = scores(reference, images)
    assert together == pytest.approx([scores(reference, [image])[0] for image in images], abs=1e-3)


def test_a_reference_survives_its_file(reference: FamiliarityReference, tmp_path: Path) -> None:
    path = tmp_path / "familiarity.safetensors"
    reference.save(path)
    images = [drawing.lesion(seed) for seed in range(5)]
    assert scores(FamiliarityReference.load(path), images) == pytest.approx(scores(reference, images))


def test_a_file_that_is_no_reference_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "familiarity.safetensors"
    path.write_bytes(b"something else")
    with pytest.raises(BundleError, match=r"familiarity\.safetensors"):
        FamiliarityReference.load(path)


def test_descriptors_have_the_stated_length() -> None:
    for size in (33, 64, 224):
        assert describe(drawing.lesion(0), size).shape == (familiarity.LENGTH,)


def test_a_lesion_lit_from_another_side_than_those_it_was_fitted_on_is_as_familiar() -> None:
    light = Image.linear_gradient("L").resize((150, 150)).point(lambda value: 90 + value // 2)

    def lit(seed: int, side: Image.Transpose | None) -> np.ndarray:
        shade = light.transpose(side) if side is not None else light
        return describe(ImageChops.multiply(drawing.lesion(seed, 150, 150), Image.merge("RGB", [shade] * 3)))

    fitted = np.stack([lit(seed, None) for seed in range(160)])
    features = np.random.default_rng(0).normal(size=(160, 4)).astype(np.float32)
    known = familiarity.fit(features[:110], fitted[:110], features[110:], fitted[110:])
    for side in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.TRANSVERSE):
        turned = np.stack([lit(seed, side) for seed in range(200, 230)])
        assert (known.score(np.zeros((30, 4), np.float32), turned) < 0.01).mean() < 0.3, side


def test_what_looks_as_usual_as_can_be_does_not_make_up_for_strange_features(reference: FamiliarityReference) -> None:
    usual = reference.views["appearance"].mean[None]
    assert reference.score(np.zeros((1, 4), np.float32), usual)[0] > 0.5
    assert reference.score(np.full((1, 4), 12.0, np.float32), usual)[0] < 0.01
