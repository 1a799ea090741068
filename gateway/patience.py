"""How long a client waits for a server that is busy, or cannot be reached."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TypeAlias

import httpx

from gateway.batch import BUSY

Outcome: TypeAlias = httpx.Response | httpx.TransportError | httpx.DecodingError
"""What became of a request."""


class Patience:
    """How often and how long after to ask again; lost connections wait longer each time, busy servers name the time."""

    def __init__(self, retries: int, longest_s: float) -> None:
        self._retries = retries
        self._longest_s = longest_s

    def while_busy(self) -> Iterator[float]:
        """Seconds to wait before each further attempt at images for which the server had no time."""
        for attempt in range(1, self._retries + 1):
            wait = max(1.0, 0.1 * 2**attempt)
            if wait <= self._longest_s:
                yield wait * random.uniform(1.0, 1.25)

    def after(self, attempt: int, outcome: Outcome) -> float | None:
        """Seconds until the next attempt; None: this outcome stands."""
        if attempt > self._retries:
            return None
        wait = 0.1 * 2**attempt
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in BUSY:
                return None
            named = outcome.headers.get("retry-after", "")
            wait = max(wait, float(named) if named.isdecimal() else 0.0)
        elif isinstance(outcome, httpx.ReadTimeout | httpx.UnsupportedProtocol | httpx.DecodingError):
            return None
        return None if wait > self._longest_s else wait * random.uniform(1.0, 1.25)
