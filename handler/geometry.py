"""The one crop and resize, the same in training, evaluation and serving."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field


class Geometry(BaseModel):
    """The centre square of `crop` times the short side, resized to `size` pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=28, le=2048)
    crop: float = Field(default=1.0, gt=0.0, le=1.0)

    @property
    def target(self) -> int:
        """The short side at which a frame's crop is exactly `size` pixels: what `decode` needs to know."""
        return math.ceil(self.size / self.crop)

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The cropped square within a frame: left, upper, right, lower."""
        side = self.crop * min(width, height)
        left, upper = (width - side) / 2, (height - side) / 2
        return left, upper, left + side, upper + side

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """The model's input: RGB pixels, uint8, size x size x 3."""
        square = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=self.box(*image.size))
        return np.asarray(square)
