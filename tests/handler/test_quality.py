"""Sharpness and exposure order images as an eye would, whatever the camera's resolution."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from handler.geometry import Geometry
from handler.quality import Quality, look, measure
from tests.handler.drawing import lesion, noise

SEEDS = range(5)


def quality(image: Image.Image) -> Quality:
    return measure(look(Geometry(size=128).apply(image)))


@pytest.mark.parametrize("seed", SEEDS)
def test_blur_lowers_sharpness_step_by_step(seed: int) -> None:
    image = lesion(seed, 600, 450)
    blurred = [quality(image.filter(ImageFilter.GaussianBlur(radius))).sharpness for radius in (0, 4, 8, 16)]
    assert blurred == sorted(blurred, reverse=True)
    assert blurred[1] < 0.8 * blurred[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_sharpness_hardly_depends_on_resolution_or_brightness(seed: int) -> None:
    image = lesion(seed, 1200, 900)
    known = quality(image).sharpness
    assert quality(image.resize((600, 450), Image.Resampling.LANCZOS)).sharpness == pytest.approx(known, rel=0.15)
    assert quality(ImageEnhance.Brightness(image).enhance(0.7)).sharpness == pytest.approx(known, rel=0.15)


@pytest.mark.parametrize("seed", SEEDS)
def test_too_dark_too_bright_and_too_flat_are_badly_exposed(seed: int) -> None:
    image = lesion(seed)
    known = quality(image).exposure
    assert known > 0.9
    assert quality(ImageEnhance.Brightness(image).enhance(0.12)).exposure < 0.4
    assert quality(ImageEnhance.Brightness(image).enhance(4.0)).exposure < 0.5
    assert quality(ImageEnhance.Contrast(image).enhance(0.1)).exposure < 0.4


@pytest.mark.parametrize("grey", [6, 250])
def test_what_is_nearly_black_or_white_shows_nothing(grey: int) -> None:
    image = lesion(0, 200, 200)
    image.paste((grey, grey, grey), (100, 0, 200, 200))
    assert quality(image).exposure == pytest.approx(0.5, abs=0.1)


def test_the_extremes_stay_on_the_scale() -> None:
    flat = quality(Image.new("RGB", (64, 64), (200, 150, 130)))
    assert flat == (0.0, 0.0)
    loud = quality(noise())
    assert 0.8 < loud.sharpness <= 1.0


@pytest.mark.parametrize("size", [32, 33, 100, 128, 224])
def test_any_input_size_is_measured(size: int) -> None:
    found = measure(look(Geometry(size=size).apply(lesion(0, 400, 300))))
    assert np.isfinite(found).all()
    assert 0 < found.sharpness < 1
