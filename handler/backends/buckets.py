"""The few batch sizes for which a GPU's work is recorded; any other is padded up to the next."""

from __future__ import annotations

from typing import NamedTuple

SIZES = (1, 2, 4, 8, 16, 32)


class Part(NamedTuple):
    """Images start to stop of a batch, run as a batch of `size`."""

    start: int
    stop: int
    size: int


def plan(count: int) -> list[Part]:
    """How a batch of any size is covered: full largest buckets, then the smallest bucket that holds the rest."""
    parts = []
    for start in range(0, count, SIZES[-1]):
        stop = min(start + SIZES[-1], count)
        parts.append(Part(start, stop, covering(stop - start)))
    return parts


def covering(count: int) -> int:
    """The smallest recorded size that holds `count` images, which must not exceed the largest."""
    return next(size for size in SIZES if size >= count)
