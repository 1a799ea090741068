"""Each schedule at points whose value follows from its definition."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lightning_module import schedules


@pytest.mark.parametrize(
    ("name", "options", "values"),
    [
        ("constant", {}, {0.0: 1.0, 0.7: 1.0, 1.0: 1.0}),
        ("cosine", {}, {0.0: 1.0, 0.5: 0.5, 1.0: 0.0}),
        ("cosine", {"warmup": 0.2, "final": 0.1}, {0.0: 0.0, 0.1: 0.5, 0.2: 1.0, 0.6: 0.55, 1.0: 0.1}),
        ("warmup_decay", {"warmup": 0.1, "decay_from": 0.5}, {0.0: 0.0, 0.05: 0.5, 0.3: 1.0, 0.75: 0.5, 1.0: 0.0}),
        ("one_cycle", {"initial": 0.0, "final": 0.0, "peak_at": 0.5}, {0.0: 0.0, 0.25: 0.5, 0.5: 1.0, 0.75: 0.5}),
        ("cyclic", {"cycles": 2, "lowest": 0.2}, {0.0: 0.2, 0.125: 0.6, 0.25: 1.0, 0.5: 0.2, 0.75: 1.0}),
        ("step", {"steps": 4, "factor": 0.5}, {0.0: 1.0, 0.24: 1.0, 0.25: 0.5, 0.6: 0.25, 1.0: 0.125}),
        (
            "piecewise",
            {"points": [[0.0, 0.0], [0.2, 1.0], [0.6, 0.0], [0.6, 0.5], [1.0, 0.1]]},
            {0.0: 0.0, 0.1: 0.5, 0.2: 1.0, 0.4: 0.5, 0.6: 0.5, 0.8: 0.3, 1.0: 0.1},
        ),
        ("exponential", {"final": 0.01}, {0.0: 1.0, 0.5: 0.1, 1.0: 0.01}),
    ],
)
def test_schedule(name: str, options: dict[str, Any], values: dict[float, float]) -> None:
    schedule = schedules.make(name, **options)
    assert {point: schedule(point) for point in values} == pytest.approx(values, abs=1e-9)


@pytest.mark.parametrize("name", sorted(schedules.SCHEDULES))
def test_every_schedule_is_a_finite_factor(name: str) -> None:
    schedule = schedules.make(name)
    factors = [schedule(step / 200) for step in range(201)]
    assert all(math.isfinite(factor) and 0 <= factor <= 1 for factor in factors)
    assert max(factors) > 0.95


def test_an_unknown_schedule_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="one_cycle"):
        schedules.make("two_cycle")


def test_an_unknown_option_names_the_schedule() -> None:
    with pytest.raises(ValueError, match="cosine"):
        schedules.make("cosine", peak=2)
