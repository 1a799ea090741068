"""What the speed is held to: ratios within one run, for the ResNet-18 at 224 px on two cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench import systems
from bench.comparison import Row
from bench.stages import Breakdown

MODEL = "resnet18"


@dataclass(frozen=True)
class Verdict:
    """One target and what was found; None where this run did not measure it."""

    target: str
    found: float | None
    met: bool | None

    def __str__(self) -> str:
        found = "not measured" if self.found is None else f"{self.found:.2f}"
        return f"{self.target}: {found}{'' if self.met is None else ' met' if self.met else ' MISSED'}"


def judge(rows: Sequence[Row], breakdown: Breakdown | None) -> list[Verdict]:
    """Every target, in the order in which they were set."""

    def value(system: str, concurrency: int, payload: str, pick: Callable[[Row], float]) -> float | None:
        wanted = (MODEL, payload, system, concurrency)
        found = [pick(row) for row in rows if (row.model, row.payload, row.system, row.concurrency) == wanted]
        return found[0] if found else None

    def pair(one: str, other: str, *case: Any) -> tuple[float, float] | None:
        found = value(one, *case), value(other, *case)
        return found if found[0] and found[1] else None  # type: ignore[return-value]

    def ratio(over: str, concurrency: int, payload: str, pick: Callable[[Row], float]) -> float | None:
        found = pair(systems.OURS, over, concurrency, payload, pick)
        return found[0] / found[1] if found else None

    def rate(row: Row) -> float:
        return row.rate

    def median(row: Row) -> float:
        return row.p50_ms

    small, large = "600x450", "6000x4000"
    limit, stock = ratio(systems.LIMIT, 32, small, rate), ratio(systems.STOCK_ONE, 32, small, rate)
    flask, alone = ratio(systems.FLASK, 32, small, rate), ratio(systems.FLASK, 1, small, median)
    photograph = ratio(systems.STOCK_ONE, 8, large, rate)
    checks = breakdown.share("quality") if breakdown else None
    proxied = pair(systems.GATEWAY, systems.OURS, 32, small, rate)
    lone = pair(systems.GATEWAY, systems.OURS, 1, small, median)
    return [
        _at_least("share of the in-process limit, 32 at once, at least 0.88", limit, 0.88),
        _at_least("times stock with one thread, 32 at once, at least 10", stock, 10),
        _at_least("times Flask + gunicorn, 32 at once, at least 1.3", flask, 1.3),
        _at_most("median over Flask's, one at a time, at most 1.15", alone, 1.15),
        _at_least("times stock at 6000x4000, at least 5", photograph, 5),
        _at_most("share of quality and familiarity in a request, at most 0.08", checks, 0.08),
        _at_least(
            "gateway's share of TorchServe asked directly, 32 at once, at least 0.85",
            proxied and proxied[0] / proxied[1],
            0.85,
        ),
        _at_most("ms that the gateway adds to the median, one at a time, at most 1.5", lone and lone[0] - lone[1], 1.5),
    ]


def _at_least(target: str, found: float | None, bound: float) -> Verdict:
    return Verdict(target, found, None if found is None else found >= bound)


def _at_most(target: str, found: float | None, bound: float) -> Verdict:
    return Verdict(target, found, None if found is None else found <= bound)
