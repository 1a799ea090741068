"""How many workers are READY: one question for however many ask, and an old answer counts for nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.backend import Backend
from gateway.health import Health
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.traffic import Traffic


class Management:
    """In place of the management API: counts the questions and answers when told."""

    def __init__(self) -> None:
        self.asked = 0
        self.open = asyncio.Event()

    async def model(self, **_: object) -> dict[str, Any]:
        self.asked += 1
        await self.open.wait()
        return {"workers": [{"id": "9000", "startTime": "now", "status": "READY", "pid": 7}]}


def watched(monkeypatch: pytest.MonkeyPatch, **settings: float) -> tuple[Health, Management]:
    chosen, metrics, management = Settings(**settings), Metrics(), Management()  # type: ignore[arg-type]
    backend = Backend(chosen, metrics)
    monkeypatch.setattr(backend, "model", management.model)
    return Health(chosen, backend, Traffic(), metrics), management


def test_many_who_ask_at_once_cost_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> tuple[list[int], int]:
        health, management = watched(monkeypatch)
        asking = [asyncio.create_task(health.workers_ready_now()) for _ in range(20)]
        while not management.asked:
            await asyncio.sleep(0)
        management.open.set()
        return await asyncio.gather(*asking), management.asked

    assert asyncio.run(ask()) == ([1] * 20, 1)


def test_a_client_that_leaves_takes_no_other_ones_question_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> int:
        health, management = watched(monkeypatch)
        leaving, staying = (asyncio.create_task(health.workers_ready_now()) for _ in range(2))
        while not management.asked:
            await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        management.open.set()
        return await staying

    assert asyncio.run(ask()) == 1


@pytest.mark.parametrize(("age", "counts"), [(9.9, True), (10.1, False)])
def test_an_answer_of_the_management_api_counts_as_long_as_the_setting_says(
    monkeypatch: pytest.MonkeyPatch, age: float, counts: bool
) -> None:
    now = 1000.0
    monkeypatch.setattr("gateway.health.time", SimpleNamespace(monotonic=lambda: now))

    async def look() -> Health:
        health, management = watched(monkeypatch, stale_after_s=10)
        management.open.set()
        await health.look()
        return health

    health = asyncio.run(look())
    now += age
    assert health.readiness.management_answers is counts
