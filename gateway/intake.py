"""Bodies on their way in: how many at once, how large, how fast, and how long they may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request

from gateway.problems import Problem, busy
from gateway.settings import Settings
from gateway.traffic import Traffic

BYTES_A_SECOND = 1024
FIRST_S = 5.0  # in which a body may be slower
NEWCOMER_S = 1.0
RECEIVERS = 4  # for each request that may be at work


class ClientGone(Exception):
    """The client hung up before its request was answered."""


class Arrival:
    """One body on its way in."""

    def __init__(self, patience: asyncio.Timeout) -> None:
        self.patience = patience
        self.began_at = asyncio.get_running_loop().time()
        self.size = 0

    @property
    def slow_at(self) -> float:
        """When it will have been too slow, unless more of it comes."""
        return self.began_at + max(FIRST_S, self.size / BYTES_A_SECOND)

    def speed(self, now: float) -> float:
        """Bytes a second; of a newcomer nothing can be said yet."""
        age = now - self.began_at
        return self.size / age if age > NEWCOMER_S else float("inf")


class Intake:
    """Who sends slowly keeps nobody else waiting: a request is at work only once its body is there."""

    def __init__(self, settings: Settings, traffic: Traffic) -> None:
        self.traffic = traffic
        self._settings = settings
        self._most = RECEIVERS * settings.max_in_flight
        self._arrivals: set[Arrival] = set()

    async def drink(self, request: Request, limit: int, take: Callable[[bytes], object]) -> int:
        """Give the body to `take` as it comes; how many bytes the traffic counts for it afterwards."""
        self._make_room()
        idle_s, whole_s = self._settings.body_idle_timeout_s, self._settings.body_timeout_s
        now = asyncio.get_running_loop().time
        patience = asyncio.timeout(min(idle_s, whole_s, FIRST_S))
        arrival = Arrival(patience)
        self._arrivals.add(arrival)
        try:
            async with patience:
                more = True
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    more = message.get("more_body", False)
                    self._take_in(message.get("body", b""), arrival, limit)
                    take(message.get("body", b""))
                    if more:
                        patience.reschedule(min(now() + idle_s, arrival.began_at + whole_s, arrival.slow_at))
        except BaseException as error:
            self.traffic.bytes_held -= arrival.size
            if isinstance(error, TimeoutError):
                raise Problem(
                    "slow_client",
                    f"The body paused for {idle_s:g} s, took over {whole_s:g} s or came with less than 1 KiB a second. "
                    "Send it without pauses, over a faster connection, or send a smaller image.",
                    headers={"connection": "close"},
                ) from None
            raise
        finally:
            self._arrivals.discard(arrival)
        return arrival.size

    def _take_in(self, chunk: bytes, arrival: Arrival, limit: int) -> None:
        arrival.size += len(chunk)
        self.traffic.bytes_held += len(chunk)
        if arrival.size > limit:
            raise too_large(limit)
        if self.traffic.bytes_held > self._settings.max_bytes_in_memory:
            raise busy("memory", "The server holds as many uploads as it can.", self._settings.retry_after_s)

    def _make_room(self) -> None:
        """Where there are too many, the slowest gives way if it is too slow; else the newcomer has to."""
        if len(self._arrivals) < self._most:
            return
        now = asyncio.get_running_loop().time()
        slowest = min(self._arrivals, key=lambda arrival: arrival.speed(now))
        if slowest.speed(now) >= BYTES_A_SECOND:
            raise busy("arriving", "The server takes in as many uploads as it can.", self._settings.retry_after_s)
        self._arrivals.discard(slowest)
        if not slowest.patience.expired():
            slowest.patience.reschedule(now)


def too_large(limit: int) -> Problem:
    """More bytes than `limit`."""
    return Problem(
        "too_large", f"The upload is larger than {limit / 2**20:.4g} MiB. Send a smaller file or fewer files."
    )
