"""Questions to a running Prometheus, and waiting for the answer that a test expects."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Self

import httpx

PATIENCE_S = 60


class Prometheus:
    """Its HTTP API."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=f"http://{address}/api/v1/", timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def values(self, expression: str) -> list[float]:
        """The numbers of an instant query, NaN left out."""
        answer = self._client.get("query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        found = [float(sample["value"][1]) for sample in answer["data"]["result"]]
        return [value for value in found if not math.isnan(value)]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and last error."""
        groups = self._client.get("rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self._client.get("alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def healthy_targets(self) -> int:
        """How many targets were scraped well the last time."""
        targets = self._client.get("targets").json()["data"]["activeTargets"]
        return sum(target["health"] == "up" for target in targets)


def await_true(condition: Callable[[], bool], told: Callable[[], object]) -> None:
    """Returns once the condition holds; AssertionError with what `told` says if it takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.25)
