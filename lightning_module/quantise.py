"""int8 after training: NNCF measures activations on real calibration images and rewrites the graph."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from handler.manifest import TOLERANCE, Normalisation
from lightning_module import stem


@dataclass(frozen=True)
class Quantisation:
    """What int8 costs on held-out and golden images, and whether it is served."""

    auroc_lost: float
    allowed: float
    largest_change: float
    golden_gap: float

    @property
    def accepted(self) -> bool:
        return self.auroc_lost <= self.allowed and self.golden_gap <= TOLERANCE["int8"]

    def __str__(self) -> str:
        cost = (
            f"int8 changes ROC AUC by {-self.auroc_lost:+.4f} on the validation split (a loss of {self.allowed} is "
            f"allowed), a probability by at most {self.largest_change:.4f} and a logit of a golden image by at most "
            f"{self.golden_gap:.2f} ({TOLERANCE['int8']} is allowed)"
        )
        return f"{cost}: int8 is served." if self.accepted else f"{cost}: int8 is left out and bf16 is served."


def int8(model: ov.Model, images: Iterable[NDArray[np.uint8]], normalisation: Normalisation) -> ov.Model:
    """A copy of `model` in int8. `images` are uint8 HWC arrays, already cropped and resized as in serving.

    The first convolution is not NNCF's: its input has the 256 levels of a photograph, which no other scale fits.
    """
    os.environ.setdefault("NNCF_CI", "1")  # read on import: without it nncf reports its use to its makers
    import nncf
    from nncf.quantization.range_estimator import AggregatorType, RangeEstimatorParameters, StatisticsType
    from nncf.quantization.range_estimator import StatisticsCollectorParameters as Estimate

    logging.getLogger("nncf").setLevel(logging.WARNING)
    batch = [image[None] for image in images]
    if not batch:
        raise ValueError("int8 needs calibration images and got none: give the data set the model was trained on")
    # By default a range ends at the mean of the images' extremes: half of them are clipped, the unusual ones badly.
    whole = RangeEstimatorParameters(
        min=Estimate(statistics_type=StatisticsType.MIN, aggregator_type=AggregatorType.MIN),
        max=Estimate(statistics_type=StatisticsType.MAX, aggregator_type=AggregatorType.MAX),
    )
    quantised = nncf.quantize(
        model.clone(),
        nncf.Dataset(batch),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(batch),
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(names=[stem.first_convolution(model).get_friendly_name()]),
        advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=whole),
    )
    return stem.in_int8(quantised, normalisation)
