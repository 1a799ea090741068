"""Learning-rate schedules: the factor on the base rate as a function of progress, 0 at the start, 1 at the end.

Stateless, so that a resumed run continues exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from lightning_module.settings import UnfitSetting

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """The base rate throughout."""
    del progress
    return 1.0


def cosine(progress: float, final: float = 0.0, warmup: float = 0.0) -> float:
    """Linear rise over the share `warmup`, then half a cosine from 1 to `final`."""
    if progress < warmup:
        return progress / warmup
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * _after(progress, warmup)))


def warmup_decay(progress: float, warmup: float = 0.05, decay_from: float = 0.05, final: float = 0.0) -> float:
    """Linear rise until `warmup`, flat until `decay_from`, then a linear fall to `final`."""
    if progress < warmup:
        return progress / warmup
    return 1 - (1 - final) * _after(progress, max(decay_from, warmup))


def one_cycle(progress: float, peak_at: float = 0.3, initial: float = 0.04, final: float = 1e-4) -> float:
    """Cosine rise from `initial` to 1 at the share `peak_at`, then cosine fall to `final`."""
    if progress < peak_at:
        return initial + (1 - initial) * 0.5 * (1 - math.cos(math.pi * progress / peak_at))
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * _after(progress, peak_at)))


def cyclic(progress: float, cycles: int = 4, lowest: float = 0.1) -> float:
    """A triangle wave between `lowest` and 1, `cycles` times."""
    phase = (progress * cycles) % 1.0
    return lowest + (1 - lowest) * (1 - abs(2 * phase - 1))


def step(progress: float, steps: int = 3, factor: float = 0.1) -> float:
    """Multiplied by `factor` at each of `steps` equal intervals but the first."""
    return float(factor ** min(int(progress * steps), steps - 1))


def exponential(progress: float, final: float = 0.01) -> float:
    """Geometric decay from 1 to `final`."""
    return math.pow(final, progress)


def piecewise(progress: float, points: Sequence[Sequence[float]] = ((0.0, 1.0), (1.0, 0.0))) -> float:
    """Straight lines between [progress, factor] points; two points at one progress make a jump, such as a restart."""
    before = max((point for point in points if point[0] <= progress), key=itemgetter(0), default=points[0])
    before = [point for point in points if point[0] == before[0]][-1]
    after = min((point for point in points if point[0] > progress), key=itemgetter(0), default=before)
    share = (progress - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 0.0
    return before[1] + share * (after[1] - before[1])


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "cosine": cosine,
    "warmup_decay": warmup_decay,
    "one_cycle": one_cycle,
    "cyclic": cyclic,
    "step": step,
    "exponential": exponential,
    "piecewise": piecewise,
}


def make(name: str, **options: Any) -> Schedule:
    """The schedule by name with its options bound; ValueError for an unknown name or option."""
    if name not in SCHEDULES:
        raise UnfitSetting(f"Unknown schedule {name!r}. Known: {', '.join(SCHEDULES)}.")
    bound = partial(SCHEDULES[name], **options)
    try:
        bound(0.0)
    except TypeError as error:
        raise UnfitSetting(f"Schedule {name!r}: {error}") from None
    return bound


def _after(progress: float, start: float) -> float:
    return min(1.0, max(0.0, (progress - start) / (1 - start))) if start < 1 else 0.0
