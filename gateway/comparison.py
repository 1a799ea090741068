"""Several lesions of one patient: which one looks least like its neighbours?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

ENOUGH = 3
STANDS_OUT = 1.25


@dataclass(frozen=True)
class Lesion:
    """What the comparison needs of one analysed image."""

    index: int
    score: float
    features: Sequence[float]


@dataclass(frozen=True)
class Standing:
    """Where a lesion stands among the others of its patient."""

    rank: int
    distance: float | None
    score_difference: float | None


@dataclass(frozen=True)
class Comparison:
    """Standings by the lesions' index, the index of the ugly duckling if there is one, and why or why not."""

    standings: dict[int, Standing]
    ugly_duckling: int | None
    reason: str


def compare(lesions: Sequence[Lesion]) -> Comparison:
    """Rank by score; the ugly duckling is the lesion farthest from the others in features and score together.

    Distance is the mean cosine distance of the feature vectors (0 the same, 1 nothing in common), score difference
    the distance from the median score of the others. A lesion stands out if the sum of both is more than 1.25 times
    the next lesion's: somebody is always last, and a patient with ten alike moles has no ugly duckling.
    """
    ranked = sorted(lesions, key=lambda lesion: -lesion.score)
    oddness: dict[int, float] = {}
    standings: dict[int, Standing] = {}
    for rank, lesion in enumerate(ranked, 1):
        others = [other for other in lesions if other is not lesion]
        if not others:
            standings[lesion.index] = Standing(rank, None, None)
            continue
        distance = sum(_cosine_distance(lesion.features, other.features) for other in others) / len(others)
        difference = abs(lesion.score - median(other.score for other in others))
        oddness[lesion.index] = distance + difference
        standings[lesion.index] = Standing(rank, round(distance, 4), round(difference, 4))
    if len(lesions) < ENOUGH:
        return Comparison(
            standings,
            None,
            f"An ugly duckling needs at least three different images that can be analysed; there are {len(lesions)}.",
        )
    first, second = sorted(oddness, key=lambda index: -oddness[index])[:2]
    if oddness[first] <= STANDS_OUT * oddness[second]:
        return Comparison(standings, None, "No lesion differs clearly from the others.")
    return Comparison(
        standings,
        first,
        "This lesion differs most from the others of the same patient, in appearance and score together.",
    )


def _cosine_distance(one: Sequence[float], other: Sequence[float]) -> float:
    scale = math.hypot(*one) * math.hypot(*other)
    if not scale:
        return 1.0
    return max(0.0, 1.0 - sum(a * b for a, b in zip(one, other, strict=True)) / scale)
