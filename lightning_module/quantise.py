"""int8 after training: NNCF measures activations on real calibration images and rewrites the graph."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

import numpy as np
import openvino as ov


def int8(model: ov.Model, images: Iterable[np.ndarray]) -> ov.Model:
    """A copy of `model` in int8. `images` are uint8 HWC arrays, already cropped and resized as in serving."""
    os.environ.setdefault("NNCF_CI", "1")  # read on import: without it nncf reports its use to its makers
    import nncf

    logging.getLogger("nncf").setLevel(logging.WARNING)

    batch = [image[None] for image in images]
    if not batch:
        raise ValueError("int8 needs calibration images and got none: give the data set the model was trained on")
    return nncf.quantize(
        model.clone(),
        nncf.Dataset(batch),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(batch),
        fast_bias_correction=True,
    )
