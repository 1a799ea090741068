"""The threshold that reaches a wanted sensitivity on held-out groups, and how sure we can be of it."""

from __future__ import annotations

import math

import numpy as np

from lightning_module.metrics import Interval, Scores, bootstrap, decisions, denominators

SCALE = 10_000


def at_sensitivity(scores: Scores, sensitivity: float) -> float:
    """The highest threshold t at which `probability >= t` finds at least that share of the malignant images."""
    if not 0.0 < sensitivity <= 1.0:
        raise ValueError(f"a sensitivity lies above 0 and at most at 1, not at {sensitivity}")
    malignant = np.sort(scores.probability[scores.truth])[::-1]
    if not len(malignant):
        raise ValueError("no malignant image in the validation split: a sensitivity cannot be chosen on it")
    needed = math.ceil(sensitivity * len(malignant) - 1e-9)
    return float(malignant[needed - 1])


def rounded_down(threshold: float) -> float:
    """Four digits for people to read; rounding down can only find more."""
    return math.floor(threshold * SCALE) / SCALE


def intervals(scores: Scores, threshold: float, replicates: int = 1000) -> dict[str, Interval]:
    """`sensitivity` and `specificity` at the threshold, with intervals over groups."""

    def both(sample: Scores) -> dict[str, float]:
        found = decisions(sample, threshold)
        return {name: found[name] for name in ("sensitivity", "specificity")}

    return bootstrap(scores, both, replicates, shares=denominators(scores, threshold))
