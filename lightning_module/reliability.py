"""Whether the scores held: of the images in each range of scores, how many were malignant."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from handler.decision import DIGITS
from handler.manifest import ScoreRange
from lightning_module.metrics import Interval, Scores, bootstrap
from lightning_module.subgroups import FEWEST

EDGES = [round(tenth / 10, 1) for tenth in range(11)]
MIDDLE = (0.2, 0.8)
"""Where a score says neither yes nor no."""


class Reliability(ScoreRange):
    """A range of scores; `excess` is its mean score less the share that was malignant."""

    excess: Interval

    @property
    def name(self) -> str:
        return f"{100 * self.lower:.0f} to {100 * self.upper:.0f} %"

    @property
    def share(self) -> float | None:
        """The share that was malignant."""
        return self.malignant / self.images if self.images else None

    @property
    def verdict(self) -> str | None:
        """Which way the scores missed by more than chance; None where they did not, or where nobody can tell."""
        low, high = self.excess.low, self.excess.high
        if low is None or high is None:
            return None
        return "too high" if low > 0 else "too low" if high < 0 else None


def by_range(scores: Scores, replicates: int = 1000) -> list[Reliability]:
    """Ten ranges of equal width, empty ones too."""
    return [_measured(scores, lower, upper, replicates) for lower, upper in pairwise(EDGES)]


def middle(scores: Scores, replicates: int = 1000) -> Reliability:
    """The range MIDDLE as one."""
    return _measured(scores, *MIDDLE, replicates)


def kept(ranges: list[Reliability]) -> list[dict[str, float]]:
    """What of it travels in the bundle's manifest."""
    return [found.model_dump(exclude={"excess"}) for found in ranges]


def told(middle: Reliability, ranges: list[Reliability], grouped_by: str) -> str:
    """In which ranges the scores were too high or too low, in a few sentences."""
    said = [_overall(middle)] if middle.images else []
    missed = [found for found in ranges if found.verdict]
    for found in missed:
        said.append(
            f"At {found.name} they were {found.verdict}: {found.malignant} of {found.images} images malignant, "
            f"mean score {found.mean_score:.3f}."
        )
    if missed:
        said.append("Among ten ranges chance alone makes one stand out now and then.")
    said.append(
        f"A difference has an interval where {FEWEST} or more {grouped_by} are malignant and {FEWEST} or more benign."
    )
    return " ".join(said)


def _overall(middle: Reliability) -> str:
    verdict = f"were {middle.verdict}" if middle.verdict else "did not miss by more than chance"
    return (
        f"Between {middle.name.replace(' to ', ' and ')} the scores {verdict}: of {middle.images} images with a mean "
        f"score of {middle.mean_score:.3f}, {middle.malignant} ({middle.share:.3f}) were malignant, a difference of "
        f"{middle.excess.text()}."
    )


def _measured(scores: Scores, lower: float, upper: float, replicates: int) -> Reliability:
    sample = scores.take(_within(scores, lower, upper))
    images, malignant = len(sample), int(sample.truth.sum())
    mean = round(float(sample.probability.mean()), DIGITS) if images else None
    return Reliability(
        lower=lower,
        upper=upper,
        images=images,
        malignant=malignant,
        mean_score=mean,
        excess=_excess(sample, replicates),
    )


def _within(scores: Scores, lower: float, upper: float) -> NDArray[np.bool_]:
    # As served, so that who looks a served score up finds it in the range that it was counted in.
    served = scores.probability.round(DIGITS)
    return (served >= lower) & ((served < upper) | (upper == EDGES[-1]))


def _excess(sample: Scores, replicates: int) -> Interval:
    if not len(sample):
        return Interval(value=None)
    difference = sample.probability - sample.truth
    kinds = [len(np.unique(sample.group[chosen])) for chosen in (sample.truth, ~sample.truth)]
    if min(kinds) < FEWEST:
        return Interval(value=float(difference.mean()))

    def statistic(drawn: Scores) -> dict[str, float]:
        return {"excess": float((drawn.probability - drawn.truth).mean())}

    return bootstrap(sample, statistic, replicates)["excess"]
