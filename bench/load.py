"""A closed-loop load generator: so many connections, each asking again as soon as it is answered."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Sample:
    """What one run of load saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def rate(self) -> float:
        """Answers with status 200 a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """Seconds within which so large a share was answered."""
        if not self.latencies:
            return float("nan")
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Connection(asyncio.Protocol):
    """Sends one request after another over one connection, and opens a new one where the server closes it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = bytearray()
        self.missing: int | None = None
        self.status = 0
        self.closing = False
        self.asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.run.transports.add(transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.missing is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._read_head(bytes(self.buffer[:end]))
            assert self.missing is not None
            self.missing += end + 4
        if len(self.buffer) >= self.missing:
            self.run.answered(self.status, time.perf_counter() - self.asked_at)
            self.buffer.clear()
            self.missing = None
            if self.run.over:
                self.transport.close()
            elif self.closing:
                self.transport.close()
                self.asked_at = 0.0
            else:
                self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        self.run.transports.discard(self.transport)
        if self.asked_at and not self.run.over:
            self.run.failed()
        self.run.lost()

    def _ask(self) -> None:
        self.asked_at = time.perf_counter()
        self.transport.write(next(self.run.requests))

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines if b": " in line)
        self.status = int(first.split(b" ", 2)[1])
        self.missing = int(headers.get(b"content-length", b"0"))
        self.closing = headers.get(b"connection") == b"close"


class Run:
    """One closed loop against one address."""

    def __init__(self, url: str, bodies: Sequence[bytes], concurrency: int, warm_up: float, seconds: float) -> None:
        self.parts = urlsplit(url)
        self.address = (self.parts.hostname or "127.0.0.1", self.parts.port or 80)
        self.concurrency = concurrency
        self.warm_up = warm_up
        self.seconds = seconds
        self.requests = itertools.cycle([self._request(body) for body in bodies])
        self.sample = Sample()
        self.counting = False
        self.over = False
        self.opening: set[asyncio.Task[Any]] = set()
        self.transports: set[asyncio.Transport] = set()

    async def run(self) -> Sample:
        for _ in range(self.concurrency):
            self._open()
        await asyncio.sleep(self.warm_up)
        self.counting = True
        started = time.perf_counter()
        await asyncio.sleep(self.seconds)
        self.counting = False
        self.over = True
        self.sample.seconds = time.perf_counter() - started
        await self._hang_up()
        return self.sample

    def answered(self, status: int, latency: float) -> None:
        if self.counting:
            if status == 200:
                self.sample.latencies.append(latency)
            else:
                self.sample.errors += 1

    def failed(self) -> None:
        if self.counting:
            self.sample.errors += 1

    def lost(self) -> None:
        if not self.over:
            self._open()

    async def _hang_up(self) -> None:
        for task in self.opening:
            task.cancel()
        await asyncio.gather(*self.opening, return_exceptions=True)
        while self.transports:
            for transport in self.transports:
                transport.abort()
            await asyncio.sleep(0)

    def _open(self) -> None:
        task = asyncio.ensure_future(self._connect())
        self.opening.add(task)
        task.add_done_callback(self.opening.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.over:
            try:
                await loop.create_connection(lambda: Connection(self), *self.address)
                return
            except OSError:
                self.failed()
                await asyncio.sleep(0.01)

    def _request(self, body: bytes) -> bytes:
        head = (
            f"POST {self.parts.path} HTTP/1.1\r\nHost: {self.parts.netloc}\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def drive(url: str, bodies: Sequence[bytes], concurrency: int, seconds: float, warm_up: float = 0.5) -> Sample:
    """Loads an address for so many seconds and tells what came back."""

    async def main() -> Sample:
        return await Run(url, bodies, concurrency, warm_up, seconds).run()

    return asyncio.run(main())


@dataclass(frozen=True)
class Answer:
    """Status and JSON of one answer."""

    status: int
    document: dict[str, Any]


def ask(url: str, body: bytes) -> Answer:
    """One request."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=60)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        return Answer(response.status, json.loads(response.read()))
    finally:
        connection.close()
