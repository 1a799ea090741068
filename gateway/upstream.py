"""A pool of plain HTTP/1.1 connections to one server: a request in one write, the answer whole in memory.

An exchange costs about a third of the processor time that aiohttp takes for it, and at 500 requests a second on a
machine that the model keeps busy, that is what the gateway's cost is made of. No redirects, cookies, TLS or streaming.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

from gateway.upload import Upload

CONNECT_S = 3.0
MOST_IDLE = 128


class Refused(OSError):
    """No connection could be made."""


class Lost(OSError):
    """The connection ended before the whole answer was there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of a response."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self) -> None:
        self.usable = False
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._waiter: asyncio.Future[Answer] | None = None
        self._began_at = 0.0

    async def exchange(self, request: bytes, body: Upload | None, seconds: float) -> Answer:
        """Send a request and wait for its answer; raises Lost or TimeoutError, and then is not usable any more."""
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        self._began_at = time.monotonic()
        timer = loop.call_later(seconds, self._fail, TimeoutError())
        self._chunks = []
        self._transport.write(request)
        if body:
            self._transport.write(body.content)
        try:
            answer: Answer = await waiter
            return answer
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()
            self._waiter = None

    def abort(self) -> None:
        self.usable = False
        self._transport.abort()

    def give_up(self, before: float) -> None:
        """Count an exchange as lost that began before this moment."""
        if self._began_at < before:
            self._fail(Lost("nobody is at work on it any more"))

    def _fail(self, error: BaseException) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, no subclass of it
        self.usable = True

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(Lost(f"no HTTP answer: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail(Lost(str(exc or "the connection was closed")))

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return
        self.usable = self.usable and self._parser.should_keep_alive()
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(Answer(status, b"".join(self._chunks)))


class Pool:
    """Idle connections are used again, the latest first; there is no limit but that of the callers."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._ends = f" HTTP/1.1\r\nhost: {parts.netloc}\r\n".encode()
        self._idle: list[Connection] = []
        self._asking: set[Connection] = set()

    async def post(self, path: str, body: Upload, request_id: str, seconds: float) -> Answer:
        """Send bytes as they are; raises Refused, Lost or TimeoutError."""
        head = b"POST %b%bcontent-type: application/octet-stream\r\nx-request-id: %b\r\ncontent-length: %d\r\n\r\n"
        return await self._exchange(head % (path.encode(), self._ends, request_id.encode(), body.size), body, seconds)

    async def get(self, path: str, seconds: float) -> Answer:
        """Raises Refused, Lost or TimeoutError."""
        return await self._exchange(b"GET %b%b\r\n" % (path.encode(), self._ends), None, seconds)

    async def _exchange(self, head: bytes, body: Upload | None, seconds: float) -> Answer:
        connection = await self._connection()
        self._asking.add(connection)
        try:
            answer = await connection.exchange(head, body, seconds)
        finally:
            self._asking.discard(connection)
        if connection.usable and len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(Connection, self._host, self._port)
        except OSError as error:  # TimeoutError is one
            raise Refused(f"{self._host}:{self._port} accepts no connection: {error}") from None
        return connection

    def give_up(self, before: float) -> None:
        """Those who began before this moment, by the monotonic clock, get Lost."""
        for connection in self._asking:
            connection.give_up(before)

    def close(self) -> None:
        """End idle connections."""
        while self._idle:
            self._idle.pop().abort()
