"""What abstaining buys: the risk on the images that are still answered, as fewer of them are."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from lightning_module.evaluation import Evaluation
from lightning_module.metrics import Interval, Scores, bootstrap, decisions, denominators

COVERAGES = np.linspace(1.0, 0.5, 26)
DECIDED = ("sensitivity", "specificity")


class Abstention(BaseModel, frozen=True):
    """How often the served limits abstain, why, and what the answers reach with and without.

    `flagged` is the share of malignant images that are labelled so, where no answer is a miss.
    """

    share: Interval
    reasons: dict[str, int]
    malignant_share: Interval
    flagged: Interval
    sensitivity_answered: Interval
    specificity_answered: Interval
    balanced_error_all: Interval
    balanced_error_answered: Interval


def measure(evaluation: Evaluation, threshold: float, replicates: int = 1000) -> Abstention:
    """The abstentions of the served limits on these rows."""
    scores, answered = evaluation.scores(), evaluation.answered
    marked = Scores(scores.truth, (~answered).astype(np.float64), scores.group)
    missed = Scores(scores.truth, np.where(answered, scores.probability, 0.0), scores.group)
    kept = scores.take(answered)

    def shares(sample: Scores) -> dict[str, float]:
        malignant = sample.probability[sample.truth]
        return {
            "all": float(sample.probability.mean()),
            "malignant": float(malignant.mean()) if len(malignant) else float("nan"),
        }

    def error(sample: Scores) -> dict[str, float]:
        return {"error": 1.0 - decisions(sample, threshold)["balanced_accuracy"]}

    def found(sample: Scores) -> dict[str, float]:
        decided = decisions(sample, threshold)
        return {name: decided[name] for name in DECIDED}

    def reached(sample: Scores) -> dict[str, Interval]:
        counted = {name: rows for name, rows in denominators(sample, threshold).items() if name in DECIDED}
        return bootstrap(sample, found, replicates, shares=counted)

    among_answered = reached(kept)
    share = bootstrap(marked, shares, replicates, shares={"all": np.ones(len(scores), bool), "malignant": scores.truth})
    reasons = Counter(reason for prediction in evaluation.predictions for reason in prediction.reasons)
    return Abstention(
        share=share["all"],
        reasons=dict(reasons.most_common()),
        malignant_share=share["malignant"],
        flagged=reached(missed)["sensitivity"],
        sensitivity_answered=among_answered["sensitivity"],
        specificity_answered=among_answered["specificity"],
        balanced_error_all=bootstrap(scores, error, replicates)["error"],
        balanced_error_answered=bootstrap(kept, error, replicates)["error"],
    )


def curves(evaluation: Evaluation, threshold: float) -> dict[str, NDArray[np.float64]]:
    """Balanced error at each of COVERAGES, giving up the least familiar or the least certain images first."""
    scores = evaluation.scores()
    certainty = np.abs(_log_odds(scores.probability) - _log_odds(np.array([threshold])))
    familiarity = np.array([prediction.quality.familiarity for prediction in evaluation.predictions])
    return {
        "least familiar first": _risks(scores, familiarity, threshold),
        "closest to the threshold first": _risks(scores, certainty, threshold),
    }


def _risks(scores: Scores, keep: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    order = np.argsort(-keep, kind="stable")
    kept = [order[: max(1, round(coverage * len(order)))] for coverage in COVERAGES]
    return np.array([1.0 - decisions(scores.take(rows), threshold)["balanced_accuracy"] for rows in kept])


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probability, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(clipped / (1 - clipped)))
