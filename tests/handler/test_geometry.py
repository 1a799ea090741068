"""The crop and resize that training, evaluation and serving share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from handler.geometry import Geometry


def test_the_centre_square_is_taken() -> None:
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    pixels = Geometry(size=32).apply(image)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    # The antialiasing filter of the outermost pixels reaches a little beyond the box.
    assert (pixels[:, 2:-2] == (0, 0, 255)).all()


def test_a_smaller_crop_sees_less_of_the_edges() -> None:
    image = Image.new("RGB", (100, 100), "red")
    image.paste("blue", (20, 20, 80, 80))
    assert (Geometry(size=32, crop=0.5).apply(image) == (0, 0, 255)).all()
    assert (Geometry(size=32).apply(image)[0, 0] == (255, 0, 0)).all()
    assert Geometry(size=32, crop=0.5).target == 64


def test_downsampling_averages_instead_of_picking() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = Geometry(size=32).apply(Image.fromarray(stripes))
    assert abs(pixels[1:-1, 1:-1].astype(int) - 127).max() <= 2


def test_an_edge_is_weighted_by_its_distance_and_never_overshoots() -> None:
    """The filter that the shipped weights were trained with; another one moves every probability a little."""
    step = np.full((64, 64, 3), 100, np.uint8)
    step[:, 32:] = 200
    row = Geometry(size=32).apply(Image.fromarray(step))[16, :, 0].astype(float)
    assert row[14:18].tolist() == pytest.approx([100, 112.5, 187.5, 200], abs=1)
    assert row.min() == 100
    assert row.max() == 200


@given(crop=st.floats(0.3, 1.0), size=st.sampled_from([28, 128, 224]))
def test_the_crop_of_a_frame_of_the_target_has_no_pixel_less_than_the_input(crop: float, size: int) -> None:
    geometry = Geometry(size=size, crop=crop)
    left, _, right, _ = geometry.box(2 * geometry.target, geometry.target)
    assert right - left >= size - 1e-9


@given(
    width=st.integers(1, 9000), height=st.integers(1, 9000), crop=st.floats(0.05, 1.0), size=st.sampled_from([32, 128])
)
def test_the_box_is_square_central_and_inside(width: int, height: int, crop: float, size: int) -> None:
    left, upper, right, lower = Geometry(size=size, crop=crop).box(width, height)
    assert right - left == pytest.approx(crop * min(width, height))
    assert lower - upper == pytest.approx(right - left)
    assert left + right == pytest.approx(width)
    assert upper + lower == pytest.approx(height)
    assert left >= 0
    assert right <= width
    assert upper >= 0
    assert lower <= height


@pytest.mark.parametrize(
    "wrong", [{"size": 8}, {"size": 64, "crop": 0}, {"size": 64, "crop": 1.1}, {"size": 64, "x": 1}]
)
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Geometry.model_validate(wrong)
