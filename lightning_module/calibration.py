"""Temperature scaling: one positive number, fitted on held-out groups, that makes probabilities honest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

RANGE = (0.05, 20.0)
# Log odds; a network that has learned something spreads them over several units.
LEAST_SPREAD = 1e-3


def malignant_log_odds(logits: Floats, malignant: list[int] | None, temperature: float = 1.0) -> Floats:
    """log(p / (1 - p)) of malignancy from logits [N, C]; `malignant` is None for a sigmoid head."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if malignant is None:
        return np.asarray(scaled[:, 0])
    chosen = np.isin(np.arange(scaled.shape[1]), malignant)
    return np.asarray(logsumexp(scaled[:, chosen], axis=1) - logsumexp(scaled[:, ~chosen], axis=1))


def negative_log_likelihood(log_odds: Floats, truth: Bools) -> float:
    """Mean binary cross-entropy of the malignancy probability that the log-odds stand for."""
    signed = np.where(truth, log_odds, -np.asarray(log_odds))
    return float(np.logaddexp(0.0, -signed).mean())


def temperature(logits: Floats, truth: Bools, malignant: list[int] | None = None) -> float:
    """The temperature that minimises the negative log-likelihood of malignancy, within 0.05 and 20."""
    truth = np.asarray(truth, dtype=bool)
    if truth.all() or not truth.any():
        raise ValueError("a temperature needs malignant and benign images in the validation split; one kind is missing")
    if np.ptp(malignant_log_odds(logits, malignant)) < LEAST_SPREAD:
        raise ValueError("the network gives every image of the validation split the same score: train it further")

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(malignant_log_odds(logits, malignant, float(np.exp(log_temperature))), truth)

    low, high = np.log(RANGE)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-5}).x))
