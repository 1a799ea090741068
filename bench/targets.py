"""What the speed is held to, for the ResNet-18 at 224 px on two cores.

Each ratio is the median over the rounds, of two measurements made seconds apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench import systems
from bench.comparison import CROWD, Row
from bench.stages import Breakdown

MODEL = "resnet18"

Figure = Callable[[Row], float]


@dataclass(frozen=True)
class Verdict:
    """One target and what was found; None where this run did not measure it."""

    target: str
    found: float | None
    met: bool | None

    def __str__(self) -> str:
        found = "not measured" if self.found is None else f"{self.found:.2f}"
        return f"{self.target}: {found}{'' if self.met is None else ' met' if self.met else ' MISSED'}"


def judge(rows: Sequence[Row], alone: Breakdown | None, crowded: Breakdown | None) -> list[Verdict]:
    """Every target, in the order in which they were set."""

    def pairs(one: str, other: str, concurrency: int, payload: str, pick: Figure) -> list[tuple[float, float]]:
        mine, theirs = (
            {row.turn: pick(row) for row in rows if (row.model, row.payload, row.system, row.concurrency) == case}
            for case in ((MODEL, payload, one, concurrency), (MODEL, payload, other, concurrency))
        )
        return [(mine[turn], theirs[turn]) for turn in mine.keys() & theirs.keys() if theirs[turn]]

    def ratio(one: str, other: str, concurrency: int, payload: str, pick: Figure) -> float | None:
        found = pairs(one, other, concurrency, payload, pick)
        return median(a / b for a, b in found) if found else None

    def rate(row: Row) -> float:
        return row.rate

    def p50(row: Row) -> float:
        return row.p50_ms

    ours, small, large = systems.OURS, "600x450", "6000x4000"
    limit = ratio(ours, systems.LIMIT, CROWD, small, rate)
    stock = ratio(ours, systems.STOCK_ONE, CROWD, small, rate)
    flask = ratio(ours, systems.FLASK, CROWD, small, rate)
    slower = ratio(ours, systems.FLASK, 1, small, p50)
    photograph = ratio(ours, systems.STOCK_ONE, 8, large, rate)
    checks, checks_in_a_crowd = (told.share("quality") if told else None for told in (alone, crowded))
    proxied = ratio(systems.GATEWAY, ours, CROWD, small, rate)
    lone = pairs(systems.GATEWAY, ours, 1, small, p50)
    added = median(a - b for a, b in lone) if lone else None
    return [
        _at_least(f"share of the in-process limit, {CROWD} at once, at least 0.88", limit, 0.88),
        _at_least(f"times stock with one thread, {CROWD} at once, at least 10", stock, 10),
        _at_least(f"times Flask + gunicorn, {CROWD} at once, at least 1.3", flask, 1.3),
        _at_most("median over Flask's, one at a time, at most 1.15", slower, 1.15),
        _at_least("times stock at 6000x4000, at least 5", photograph, 5),
        _at_most("share of quality and familiarity in a lone request, at most 0.08", checks, 0.08),
        _at_most(
            f"their share of the cores' time for a request, {CROWD} at once, at most 0.08", checks_in_a_crowd, 0.08
        ),
        _at_least(
            f"gateway's share of TorchServe asked directly, {CROWD} at once, at least 0.85",
            proxied,
            0.85,
        ),
        _at_most("ms that the gateway adds to the median, one at a time, at most 1.5", added, 1.5),
    ]


def _at_least(target: str, found: float | None, bound: float) -> Verdict:
    return Verdict(target, found, None if found is None else found >= bound)


def _at_most(target: str, found: float | None, bound: float) -> Verdict:
    return Verdict(target, found, None if found is None else found <= bound)
