"""What is at work right now, and whether this process is on its way out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Traffic:
    """Counts requests, the bytes of their images and of answers not yet taken, and knows whether we drain."""

    def __init__(self) -> None:
        self.in_flight = 0  # those whose body still arrives included
        self.at_work = 0
        self.bytes_held = 0
        self.draining_since: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def draining(self) -> bool:
        return self.draining_since is not None

    def drain(self) -> None:
        """Say from now on that this process is not ready; requests are still served."""
        if self.draining_since is None:
            self.draining_since = time.monotonic()

    @contextmanager
    def flight(self) -> Iterator[None]:
        """Count one request for as long as the block runs."""
        self.in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Count one request whose body is there for as long as the block runs."""
        self.at_work += 1
        try:
            yield
        finally:
            self.at_work -= 1

    async def drained(self, delay: float, deadline: float) -> bool:
        """Drain, wait `delay` seconds for load balancers to notice, then until nothing is in flight.

        Requests that arrive meanwhile are served and waited for as well; False if that takes over `deadline` seconds.
        """
        self.drain()
        assert self.draining_since is not None
        await asyncio.sleep(max(0.0, self.draining_since + delay - time.monotonic()))
        try:
            await asyncio.wait_for(self._idle.wait(), deadline)
        except TimeoutError:
            return False
        return True
